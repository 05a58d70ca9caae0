//! Randomness for hash maps: SplitMix64 (Steele, Lea, Flood 2014), seeded from JavaScript, because
//! bare WebAssembly has no source of entropy.

use std::cell::Cell;

const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(GOLDEN_GAMMA) };
}

pub fn seed(value: u64) {
    STATE.with(|s| s.set(value));
}

fn next() -> u64 {
    STATE.with(|s| {
        let state = s.get().wrapping_add(GOLDEN_GAMMA);
        s.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

/// The hook that getrandom's custom backend calls.
#[no_mangle]
unsafe extern "Rust" fn __getrandom_v03_custom(dest: *mut u8, len: usize) -> Result<(), getrandom::Error> {
    for chunk in std::slice::from_raw_parts_mut(dest, len).chunks_mut(8) {
        chunk.copy_from_slice(&next().to_le_bytes()[..chunk.len()]);
    }
    Ok(())
}
