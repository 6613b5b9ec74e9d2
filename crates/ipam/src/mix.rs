//! Numbers made of names: the same everywhere, always, and unlike for like names.

/// A number that belongs to the texts, in this order.
pub(crate) fn mix(texts: &[&str]) -> u64 {
    // FNV-1a, then the finisher of splitmix64: hosts numbered through start far apart.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for text in texts {
        // A byte that no UTF-8 text has keeps `ab`, `c` apart from `a`, `bc`.
        for byte in text.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    finish(hash)
}

/// The number behind `seed` in a series without visible order.
pub(crate) fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    finish(*seed)
}

fn finish(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
