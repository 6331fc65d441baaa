// The part of dcmjs that is used here; the package ships no types.
declare module 'dcmjs' {
  /** Elements by tag, eight hexadecimal digits. */
  export type Dataset = Record<string, { vr: string; Value: unknown[] }>;

  const dcmjs: {
    data: {
      DicomDict: new (meta: Dataset) => { dict: Dataset; write(): ArrayBuffer };
    };
  };
  export default dcmjs;
}
