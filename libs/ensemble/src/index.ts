// Recipes, plan of members, coordinator and workers, probabilities, metrics, submission.
export {};
