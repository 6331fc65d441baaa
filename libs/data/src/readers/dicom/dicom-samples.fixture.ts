// Real DICOM samples beside the checkout, and what pydicom reads from them. None of them are in the repository.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Scan } from '../../scan.ts';
import type { DicomFile } from './dicom.ts';

const folder = join(
  process.env['CT_ENSEMBLE_SHARED'] ?? fileURLToPath(new URL('../../../../../../shared', import.meta.url)),
  'data/dicom-nifti-samples/dicom',
);

/** Ends the names of tests that need the samples; empty if the samples are there. */
export const skipped = existsSync(folder) ? '' : ' (skipped: no DICOM samples beside the checkout)';

/**
 * SHA-256 of all slices' Hounsfield units, int16 little endian, head first, as pydicom 3.0.2 gives them
 * (NumPy 2.4.6, pylibjpeg 2.1.0, pylibjpeg-libjpeg 2.5.0, pylibjpeg-openjpeg 2.6.0): ⌊stored · slope + intercept + ½⌋,
 * padding −1024.
 */
export const pydicomDigests: Record<string, string> = {
  'LIDC-IDRI-0001': '39180c589d9090e752f5ee2cde9d7a6b2510aed9c36a48f86e02e041436d65f7',
  'COVID-CT-MD-P002-every8th': 'd757ada79d5b70543309b9b2b54ae4f019ebd692d9a7ee0696f24824f9eb2aab',
  'TotalSegmentator-example': '52f3e08938b668a54f5e180e13201e42206c117967af3fcb1c27f685f55f7a89',
  'COVID-19-NY-SBU/A002304-19001231-076.dcm':
    '2ee001b1c6b3622fc603a741bc213b1b6ffbca926787ffc14486f2aec3ca0cdc',
  'COVID-19-NY-SBU/A002304-19010112-135.dcm':
    '976d6aca058a45b7ac5fd283b9cfbfc3ec9bb60cca9797308b75689ee94339d2',
  'COVID-19-NY-SBU/A046441-19001111-045.dcm':
    'f871ceae485bb501fe1ec09779eb99c26330872fd26b0647b2569b17bc3305a2',
  'COVID-19-NY-SBU/A046441-19010101-23.dcm':
    '4e6c82551fdf7afba04a8bdc01e86c774cfbac4646e941ce15bfa746b878202d',
  'COVID-19-NY-SBU/A048383-19001231-30.dcm':
    '9de65153e7e1e0d87367a54a101034ee134023ae23f4e113e50b1e39a29eb7b4',
  'COVID-19-NY-SBU/A048383-19010410-30.dcm':
    'ca011f079256ae11215330c45ba67f69408af2dafd0e24a1b2e74307923873a4',
  'COVID-19-NY-SBU/A056642-19001229-053.dcm':
    'b469dc00b5370aa3e7ddb4bc29cc8587b5aa29630ac39e8964fe10998aec190b',
  'COVID-19-NY-SBU/A056642-19010107-111.dcm':
    '2cdff8b7be500208ef40610f3f70f104a02f9e126d7adec42ddcd4b0ca290d5a',
  'COVID-19-NY-SBU/A072894-19001203-066.dcm':
    '28bf62670abe38f733b63c70be10cf7ae09b0413ecb7213f35c516d60d9673fc',
  'COVID-19-NY-SBU/A072894-19010103-40.dcm':
    '4b05913fca0097018f60f50401dfbf265cfdcad97839612cb410dd8738ab05c2',
  'COVID-19-NY-SBU/A098752-19001231-32.dcm':
    'ba07848b28836b400fb57cf6c5112a12f748d68270e590902106074223efc02b',
  'COVID-19-NY-SBU/A098752-19010127-128.dcm':
    '89ec614aadf3a3ac4452d6bf9153640f8ff00fe1eb0d7582e718b012bb878101',
  'CT_small.dcm': '743dc0a86c09496177526f2a903e7d18016eacfee47afabd89b198224c8f8e5d',
  'NEMA-WG04/CT1_J2KI': '58ec424e36d2e1be39a2965c2906a39e0510eec77bbfcc038837907b8f23b513',
  'NEMA-WG04/CT1_J2KR': '3a31269bfeb695decc63cdc00b9da387de200521eca37648704a6e65bf0f6133',
  'NEMA-WG04/CT1_JLSL': '3a31269bfeb695decc63cdc00b9da387de200521eca37648704a6e65bf0f6133',
  'NEMA-WG04/CT1_JLSN': '84b6fe7e5ab6c2572c27b8f94ad50253e4ed99acfe012a5c91d68faf7bc872e7',
  'NEMA-WG04/CT1_JPLL': '3a31269bfeb695decc63cdc00b9da387de200521eca37648704a6e65bf0f6133',
  'NEMA-WG04/CT1_RLE': '3a31269bfeb695decc63cdc00b9da387de200521eca37648704a6e65bf0f6133',
  'NEMA-WG04/CT1_UNC': '3a31269bfeb695decc63cdc00b9da387de200521eca37648704a6e65bf0f6133',
  'NEMA-WG04/CT2_J2KI': '679e639bdd37e01062bd5e6792d42acfb1c5601c61da004afc4b139ce15a8eab',
  'NEMA-WG04/CT2_J2KR': 'ddaf7fb6a05bf7ac8b2b29e29cca3204e426179cce2888eeff3a270c1927d73d',
  'NEMA-WG04/CT2_JLSL': 'ddaf7fb6a05bf7ac8b2b29e29cca3204e426179cce2888eeff3a270c1927d73d',
  'NEMA-WG04/CT2_JLSN': '6891718ce1d6ca768d7e7eca44c66c36d891d1d8877f2bd48e2b21ceac6edc7e',
  'NEMA-WG04/CT2_JPLL': 'ddaf7fb6a05bf7ac8b2b29e29cca3204e426179cce2888eeff3a270c1927d73d',
  'NEMA-WG04/CT2_RLE': 'ddaf7fb6a05bf7ac8b2b29e29cca3204e426179cce2888eeff3a270c1927d73d',
  'NEMA-WG04/CT2_UNC': 'ddaf7fb6a05bf7ac8b2b29e29cca3204e426179cce2888eeff3a270c1927d73d',
};

/** Samples that decode in milliseconds: every transfer syntax, and every vendor with single files. */
export const QUICK_SAMPLES: readonly string[] = [
  'CT_small.dcm',
  'COVID-19-NY-SBU/A002304-19001231-076.dcm',
  ...Object.keys(pydicomDigests).filter((name) => name.startsWith('NEMA-WG04/CT1_')),
];

/** The files of one sample, a file or a folder. */
export async function sampleFiles(name: string): Promise<DicomFile[]> {
  const path = join(folder, name);
  const isFolder = (await stat(path)).isDirectory();
  const paths = isFolder ? (await readdir(path)).map((child) => join(path, child)) : [path];
  return Promise.all(paths.map(async (each) => ({ path: each, bytes: await readFile(each) })));
}

/** SHA-256 of a scan's values, as in `pydicomDigests`. */
export function digestOf({ slices }: Scan): string {
  const hash = createHash('sha256');
  for (const { data } of slices) hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest('hex');
}
