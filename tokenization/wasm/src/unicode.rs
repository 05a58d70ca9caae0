//! Where the Unicode tables of tokenizers 0.23 and 1.0 agree.
//!
//! 1.0 is built on newer tables. What became a letter, a digit or a punctuation mark in between is split in another way, so
//! texts with such characters are left to 0.23, which is what Python has. The ranges were found by encoding all code points
//! with both; `test/tokenization/ids.test.ts` does it again for a part of them.

/// Whether both read all characters of `text` alike.
pub fn tables_agree(text: &str) -> bool {
    text.is_ascii() || text.chars().all(|c| c.is_ascii() || agrees(c as u32))
}

fn agrees(code_point: u32) -> bool {
    match code_point {
        0x1acf..=0x1aff | 0x32ff | 0x1f16c => false,
        0x61d | 0x88f | 0x9fd | 0xa76 | 0xc5c | 0xc77 | 0xc84 | 0xcdc | 0x166d => false,
        0..=0x1aff => true,
        // Latin extensions, punctuation, symbols; from U+2E43 on, punctuation came later.
        0x1d00..=0x2e42 => true,
        // Chinese, Japanese, Korean, and what follows up to the newer Latin letters at U+A7CE.
        0x2e80..=0xa7cd => true,
        0xa830..=0xffff => true,
        // Mathematical letters, emoji and pictograms.
        0x1d400..=0x1d7ff | 0x1f000..=0x1faff => true,
        0x20000..=0x2a6df => true,
        _ => false,
    }
}
