//! Mutations of seeds, the same ones in every run.

/// The pieces that matter to more than one target.
const WORDS: [&[u8]; 24] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\t",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xf0\x9f\x98\x80",
    b"\"",
    b"'",
    b"{",
    b"}",
    b"[",
    b"]",
    b": ",
    b"- ",
    b"&a",
    b"*a",
    b"<<",
    b"!",
    b"%2f",
    b"null",
    b"1e999",
    b"-9223372036854775808",
    b"18446744073709551615",
];

/// A sequence of numbers that depends on nothing but the seed.
pub(crate) struct Numbers(u64);

impl Numbers {
    /// Numbers for one seed file.
    pub(crate) fn of(name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let wide = (u128::from(self.0) * end.max(1) as u128) >> 64;
        usize::try_from(wide).expect("below a usize")
    }
}

/// The seed with one to four faults in it; `other` is another seed of the same target.
pub(crate) fn mutated(seed: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        mutate(&mut bytes, other, numbers);
    }
    bytes
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    let at = numbers.below(bytes.len() + 1);
    let end = (at + numbers.below(24)).min(bytes.len());
    match numbers.below(8) {
        0 => drop(bytes.drain(at..end)),
        1 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
        2 => drop(bytes.splice(at..at, WORDS[numbers.below(WORDS.len())].iter().copied())),
        3 => drop(bytes.splice(at..end, WORDS[numbers.below(WORDS.len())].iter().copied())),
        4 => bytes.truncate(at),
        5 => {
            let from = numbers.below(other.len() + 1);
            let to = (from + numbers.below(64)).min(other.len());
            drop(bytes.splice(at..end, other[from..to].iter().copied()));
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << numbers.below(8);
            }
        }
    }
}

#[test]
fn a_seed_has_the_same_mutations_every_time_and_they_differ() {
    let make = || {
        let mut numbers = Numbers::of("seed");
        (0..50).map(|_| mutated(b"kind: policy", b"has(a)", &mut numbers)).collect::<Vec<_>>()
    };
    let made = make();
    assert_eq!(made, make());
    let distinct: std::collections::BTreeSet<_> = made.iter().collect();
    assert!(distinct.len() > 40, "{} of 50", distinct.len());
}
