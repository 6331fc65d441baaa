// The models of members that are asked one after the other: one is in memory for each architecture and views.
import { buildModel, type Model } from '@ct-ensemble/models';

export interface LoadedModels<Member> {
  /** The member's model with its weights, until the next call. */
  of(member: Member): Promise<Model>;
  dispose(): void;
}

/** `load` sets the weights of a member; it is called when it is the member's turn and its weights are not those that are set. */
export function loadedModels<Member extends { name: string; architecture: string }>({
  classes,
  viewsOf,
  load,
}: {
  classes: number;
  /** Number of slices of each view. */
  viewsOf(member: Member): readonly number[];
  load(member: Member, model: Model): Promise<void>;
}): LoadedModels<Member> {
  const models = new Map<string, { model: Model; member: string | undefined }>();
  return {
    async of(member) {
      const { architecture, name } = member;
      const views = viewsOf(member);
      const key = JSON.stringify([architecture, views]);
      const loaded = models.get(key) ?? {
        model: buildModel(architecture, { views, classes }),
        member: undefined,
      };
      models.set(key, loaded);
      if (loaded.member !== name) {
        loaded.member = undefined;
        await load(member, loaded.model);
        loaded.member = name;
      }
      return loaded.model;
    },
    dispose() {
      for (const { model } of models.values()) model.dispose();
      models.clear();
    },
  };
}
