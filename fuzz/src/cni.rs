//! `margay_fuzzing::cni` on inputs of libFuzzer's making.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| margay_fuzzing::cni(input));
