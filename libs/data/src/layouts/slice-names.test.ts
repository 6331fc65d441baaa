import { isSliceName, orderSliceNames } from './slice-names.ts';

/** The names in order; they are handed over in another order. */
const order = (...names: string[]) => orderSliceNames(names.toReversed()).slices.map(({ file }) => file);
const expectOrder = (...names: string[]) => expect(order(...names)).toEqual(names);

test('a slice has a number in its name', () => {
  expect(['1.jpg', 'a12b.PNG', '3.jpeg'].every(isSliceName)).toBe(true);
  expect(['a.jpg', '12.tif', '12', '.png'].some(isSliceName)).toBe(false);
});

test('the number that varies gives the order, wherever it stands', () => {
  expectOrder('2.jpg', '10.jpg', '100.jpg');
  expectOrder('IM-0001-0002.png', 'IM-0001-0010.png');
  expectOrder('2_of_10.png', '3_of_10.png', '10_of_10.png');
  expectOrder('5_512x512.png', '40_512x512.png', '300_512x512.png');
  expectOrder('1.2.840.5.png', '1.2.840.9.png', '1.2.840.10.png');
  expectOrder('z3_hash9.png', 'z1_hash10.png'); // both vary equally: the last
});

test('decimals', () => {
  expectOrder('z_82.5.png', 'z_85.0.png', 'z_87.5.png', 'z_97.5.png', 'z_100.0.png');
  expectOrder('z_82,5.png', 'z_85,0.png', 'z_100,0.png');
  expectOrder('z_9.25.png', 'z_9.5.png', 'z_10.125.png');
  expectOrder('p12.1.png', 'p12.2.png', 'p12.10.png', 'p13.1.png'); // 12.1 and 12.10 are no decimals
});

test('signs', () => {
  expectOrder('z-10.png', 'z-2.png', 'z0.png', 'z5.png');
  expectOrder('z_-10.5.png', 'z_-2.0.png', 'z_-1.5.png');
  expectOrder('-12.png', '-3.png');
  expectOrder('slice-2.png', 'slice-3.png', 'slice-12.png'); // a hyphen
});

test('a copy comes behind its original, with its number', () => {
  const names = ['12.png', '13.png', '13(1).png', '14.png', '14 (1).png', '15.png', '15 - Copy (2).png'];
  expectOrder(...names, '16.png', '16 copy 2.png', '17.png', '17 - Copy.png', '18.png');
  expect(orderSliceNames(names).slices.map(({ number }) => number)).toEqual([12, 13, 13, 14, 14, 15, 15]);
  expectOrder('12.png', '12~1.png', '13.png', 'Copy of 13.png', '14.png');
  // Windows renames many files so: these are no copies, since there is no original.
  expectOrder('scan (1).png', 'scan (2).png', 'scan (10).png');
});

test('masks beside their slices are no slices; masks alone are', () => {
  const { slices, masks } = orderSliceNames([
    '1.png',
    '1_mask.png',
    '2.png',
    '2-seg.png',
    '3.jpg',
    '3_label.png',
  ]);
  expect(slices.map(({ file }) => file)).toEqual(['1.png', '2.png', '3.jpg']);
  expect(masks).toEqual(['1_mask.png', '2-seg.png', '3_label.png']);
  expectOrder('1_mask.png', '2_mask.png');
});

test('masks and previews of any usual name beside their slices', () => {
  for (const other of [
    'mask_2',
    'mask2',
    '2_lung_mask',
    '2-lesion',
    '2_thumb',
    'preview_2',
    'Label 2',
    'lungMask2',
  ])
    expect(orderSliceNames(['1.png', '2.png', '3.png', `${other}.png`])).toMatchObject({
      masks: [`${other}.png`],
      unlike: [],
    });
  const { masks } = orderSliceNames(['image_1.png', 'image_2.png', 'mask_1.png', 'mask_2.png']);
  expect(masks).toEqual(['mask_1.png', 'mask_2.png']);
  expectOrder('roi_1.png', 'roi_2.png'); // alone
  expectOrder('segment1.png', 'segment2.png', '3.png');
});

test('two numbers that only together tell the slices apart', () => {
  const names = ['a1_1.png', 'a1_2.png', 'a1_10.png', 'a2_1.png', 'a2_2.png', 'a2_10.png'];
  expectOrder(...names);
  expect(orderSliceNames(names)).toMatchObject({ hasSeveralNumbers: true });
  expect(orderSliceNames(names.slice(0, 3))).toMatchObject({ hasSeveralNumbers: false });
});

test('names unlike most of the others are reported, and placed by their last number', () => {
  const { slices, unlike } = orderSliceNames(['1.png', '2.png', '3.png', '4.png', 'topogram_2.png']);
  expect(unlike).toEqual(['topogram_2.png']);
  expect(slices.map(({ number }) => number)).toEqual([1, 2, 2, 3, 4]);
  expect(orderSliceNames(['a1b_7.png', 'c_3.png', 'dd22e_5.png']).unlike).toEqual([]);
  expectOrder('c_3.png', 'dd22e_5.png', 'a1b_7.png');
});

test('equal numbers in several formats stay in the order of the names', () => {
  expectOrder('1.jpg', '1.png', '2.jpg');
});
