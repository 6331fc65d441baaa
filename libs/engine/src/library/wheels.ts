// Pinned wheels of the Python package index from which TensorFlow is installed: versions, hashes and sizes.
import { type Platform, TENSORFLOW_VERSION } from './library.ts';

export interface Wheel {
  package: string;
  version: string;
  /** pip's platform tag, for example `manylinux_2_27_x86_64`. */
  tag: string;
  sha256: string;
  bytes: number;
  /** Bytes of the files that are unpacked from it. */
  unpacked: number;
}

export const cpuWheels: Record<Platform, Wheel> = {
  'linux-x64': {
    package: 'tensorflow-cpu',
    version: TENSORFLOW_VERSION,
    tag: 'manylinux_2_27_x86_64',
    sha256: 'dcc8afd32930e42d5296b6ee19078b773706830af4ea97fbe503b9f5e0f820cb',
    bytes: 274_000_871,
    unpacked: 853_308_936,
  },
  'linux-arm64': {
    package: 'tensorflow',
    version: TENSORFLOW_VERSION,
    tag: 'manylinux_2_27_aarch64',
    sha256: 'b07d15737406533898e36c7ef7944b1be18e9028dc521b9229952c537bbc5552',
    bytes: 281_946_471,
    unpacked: 883_062_208,
  },
  'darwin-arm64': {
    package: 'tensorflow',
    version: TENSORFLOW_VERSION,
    tag: 'macosx_12_0_arm64',
    sha256: '56ecd7d47429acbe1df2694d50b75bf9fc3995ac92cb367cd9af6c4780ead712',
    bytes: 223_488_205,
    unpacked: 740_805_624,
  },
};

/**
 * TensorFlow with GPU kernels, and the packages that pip chose for its extra `and-cuda` in November 2026: CUDA 12.9,
 * cuDNN 9.28.
 */
export const gpuWheels: readonly Wheel[] = [
  {
    package: 'tensorflow',
    version: TENSORFLOW_VERSION,
    tag: 'manylinux_2_27_x86_64',
    sha256: 'b3b95643c4e70eb925839938fb35cbe142f317ec84af6844ee61513713bb13c0',
    bytes: 572_611_111,
    unpacked: 1_259_021_080,
  },
  {
    package: 'nvidia-cublas-cu12',
    version: '12.9.3.13',
    tag: 'manylinux_2_27_x86_64',
    sha256: 'd7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72',
    bytes: 581_217_458,
    unpacked: 855_064_416,
  },
  {
    package: 'nvidia-cuda-cupti-cu12',
    version: '12.8.90',
    tag: 'manylinux_2_17_x86_64',
    sha256: 'ea0cb07ebda26bb9b29ba82cda34849e73c166c18162d3913575b0c9db9a6182',
    bytes: 10_248_621,
    unpacked: 41_311_976,
  },
  {
    package: 'nvidia-cuda-nvcc-cu12',
    version: '12.9.86',
    tag: 'manylinux_2_12_x86_64',
    sha256: '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0',
    bytes: 40_546_229,
    unpacked: 35_417_224,
  },
  {
    package: 'nvidia-cuda-nvrtc-cu12',
    version: '12.9.86',
    tag: 'manylinux_2_12_x86_64',
    sha256: '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4',
    bytes: 89_568_129,
    unpacked: 113_447_240,
  },
  {
    package: 'nvidia-cuda-runtime-cu12',
    version: '12.9.79',
    tag: 'manylinux_2_17_x86_64',
    sha256: '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3',
    bytes: 3_493_179,
    unpacked: 741_088,
  },
  {
    package: 'nvidia-cudnn-cu12',
    version: '9.28.0.42',
    tag: 'manylinux_2_27_x86_64',
    sha256: '9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375',
    bytes: 716_538_495,
    unpacked: 1_162_393_472,
  },
  {
    package: 'nvidia-cufft-cu12',
    version: '11.4.1.4',
    tag: 'manylinux_2_17_x86_64',
    sha256: 'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28',
    bytes: 200_877_592,
    unpacked: 293_609_416,
  },
  {
    package: 'nvidia-curand-cu12',
    version: '10.3.10.19',
    tag: 'manylinux_2_27_x86_64',
    sha256: '49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e',
    bytes: 68_295_626,
    unpacked: 166_965_432,
  },
  {
    package: 'nvidia-cusolver-cu12',
    version: '11.7.5.82',
    tag: 'manylinux_2_27_x86_64',
    sha256: '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88',
    bytes: 338_117_415,
    unpacked: 494_975_064,
  },
  {
    package: 'nvidia-cusparse-cu12',
    version: '12.5.10.65',
    tag: 'manylinux_2_17_x86_64',
    sha256: '73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78',
    bytes: 366_465_088,
    unpacked: 486_556_368,
  },
  {
    package: 'nvidia-nccl-cu12',
    version: '2.32.3',
    tag: 'manylinux_2_27_x86_64',
    sha256: 'bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c',
    bytes: 351_526_311,
    unpacked: 473_614_536,
  },
  {
    package: 'nvidia-nvjitlink-cu12',
    version: '12.9.86',
    tag: 'manylinux_2_12_x86_64',
    sha256: 'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9',
    bytes: 39_748_338,
    unpacked: 95_935_344,
  },
];
