;; Which fingerprints differ from one in few bits. Fingerprints stand one after the other from address 0, each `stride` bytes
;; (a multiple of 64, filled with zeros); their numbers of ones as 32-bit integers from the address `ones`.
(module
  (import "fingerprints" "memory" (memory 1))
  ;; Writes the numbers j in [from, to) whose fingerprints differ from that of number `one` in at most
  ;; factor · (ones of one + ones of j) bits to the address `out`, as 32-bit integers, and returns how many these are.
  (func (export "near")
    (param $one i32) (param $from i32) (param $to i32) (param $stride i32) (param $ones i32) (param $factor f64) (param $out i32)
    (result i32)
    (local $j i32) (local $p i32) (local $q i32) (local $end i32) (local $count i32) (local $most i32) (local $found i32)
    (local $own i32) (local $sum v128)
    (local.set $own (i32.load (i32.add (local.get $ones) (i32.shl (local.get $one) (i32.const 2)))))
    (local.set $j (local.get $from))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $j) (local.get $to)))
        (local.set $most
          (i32.trunc_f64_u
            (f64.mul
              (local.get $factor)
              (f64.convert_i32_u
                (i32.add
                  (local.get $own)
                  (i32.load (i32.add (local.get $ones) (i32.shl (local.get $j) (i32.const 2)))))))))
        (local.set $count (i32.const 0))
        (local.set $p (i32.mul (local.get $one) (local.get $stride)))
        (local.set $q (i32.mul (local.get $j) (local.get $stride)))
        (local.set $end (i32.add (local.get $p) (local.get $stride)))
        (block $compared
          (loop $part
            ;; 64 bytes: each byte of the sum is at most 32
            (local.set $sum
              (i8x16.add
                (i8x16.add
                  (i8x16.popcnt (v128.xor (v128.load (local.get $p)) (v128.load (local.get $q))))
                  (i8x16.popcnt (v128.xor (v128.load offset=16 (local.get $p)) (v128.load offset=16 (local.get $q)))))
                (i8x16.add
                  (i8x16.popcnt (v128.xor (v128.load offset=32 (local.get $p)) (v128.load offset=32 (local.get $q))))
                  (i8x16.popcnt (v128.xor (v128.load offset=48 (local.get $p)) (v128.load offset=48 (local.get $q)))))))
            (local.set $sum (i32x4.extadd_pairwise_i16x8_u (i16x8.extadd_pairwise_i8x16_u (local.get $sum))))
            (local.set $count
              (i32.add
                (local.get $count)
                (i32.add
                  (i32.add (i32x4.extract_lane 0 (local.get $sum)) (i32x4.extract_lane 1 (local.get $sum)))
                  (i32.add (i32x4.extract_lane 2 (local.get $sum)) (i32x4.extract_lane 3 (local.get $sum))))))
            (br_if $compared (i32.gt_u (local.get $count) (local.get $most)))
            (local.set $p (i32.add (local.get $p) (i32.const 64)))
            (local.set $q (i32.add (local.get $q) (i32.const 64)))
            (br_if $part (i32.lt_u (local.get $p) (local.get $end))))
          (i32.store (i32.add (local.get $out) (i32.shl (local.get $found) (i32.const 2))) (local.get $j))
          (local.set $found (i32.add (local.get $found) (i32.const 1))))
        (local.set $j (i32.add (local.get $j) (i32.const 1)))
        (br $next)))
    (local.get $found)))
