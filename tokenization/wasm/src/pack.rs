//! Encodings as bytes for JavaScript, with offsets in UTF-16 units.

use tokenizers::Encoding;

use crate::encode::TOKENS;

/// Stands for "none" among word and sequence ids.
const NONE: u32 = u32::MAX;

/// From code points, in which the library counts, to UTF-16 units, in which JavaScript does.
pub enum Utf16Map {
    Text(CodePoints),
    Words(Vec<CodePoints>),
}

/// Units before each code point and at the end; nothing where every code point is one unit.
type CodePoints = Option<Vec<u32>>;

impl Utf16Map {
    pub fn of_text(text: &str) -> Self {
        Self::Text(code_points(text))
    }

    pub fn of_words(words: &[&str]) -> Self {
        Self::Words(words.iter().map(|word| code_points(word)).collect())
    }

    fn convert(&self, word: Option<u32>, offset: u32) -> u32 {
        let units = match self {
            Self::Text(units) => units.as_ref(),
            Self::Words(words) => word.and_then(|w| words.get(w as usize)).and_then(Option::as_ref),
        };
        units.and_then(|u| u.get(offset as usize).copied()).unwrap_or(offset)
    }
}

fn code_points(text: &str) -> CodePoints {
    // Only code points of four bytes take two units.
    if !text.as_bytes().iter().any(|&byte| byte >= 0xF0) {
        return None;
    }
    let mut units = Vec::with_capacity(text.len() + 1);
    let mut count = 0;
    for c in text.chars() {
        units.push(count);
        count += c.len_utf16() as u32;
    }
    units.push(count);
    Some(units)
}

/// How the offsets of an encoding are converted.
pub struct Offsets {
    /// For the first text and the second.
    maps: Vec<Utf16Map>,
    /// The type ids say which text a token comes from. Windows that truncation cut off a pair do not always
    /// know their sequences, but the type ids they were tokenized with.
    by_type: bool,
}

impl Offsets {
    pub fn new(maps: Vec<Utf16Map>, encoding: &Encoding) -> Self {
        let sequences = encoding.get_sequence_ids();
        let by_type = sequences.iter().zip(encoding.get_type_ids()).all(|(s, &t)| s.is_none_or(|s| s as u32 == t));
        Self { maps, by_type }
    }

    fn of(&self, sequence: Option<usize>, type_id: u32) -> Option<&Utf16Map> {
        self.maps.get(if self.by_type { type_id as usize } else { sequence? })
    }
}

/// Appends numbers of four bytes: length n, number of overflowing encodings, n ids, n type ids, n attention
/// mask; with DETAILS n special tokens mask, n word ids, n sequence ids, n offsets (start, end); with TOKENS n
/// lengths in UTF-16 units, the length in bytes, and the UTF-8 of all tokens filled up to four; then the
/// overflowing encodings in the same way. `offsets` is there with DETAILS.
pub fn pack(out: &mut Vec<u8>, encoding: &Encoding, flags: u32, offsets: Option<&Offsets>) {
    put(out, encoding.len() as u32);
    put(out, encoding.get_overflowing().len() as u32);
    put_all(out, encoding.get_ids());
    put_all(out, encoding.get_type_ids());
    put_all(out, encoding.get_attention_mask());
    if let Some(offsets) = offsets {
        pack_details(out, encoding, offsets);
    }
    if flags & TOKENS != 0 {
        pack_tokens(out, encoding.get_tokens());
    }
    for overflowing in encoding.get_overflowing() {
        pack(out, overflowing, flags, offsets);
    }
}

fn pack_details(out: &mut Vec<u8>, encoding: &Encoding, offsets: &Offsets) {
    put_all(out, encoding.get_special_tokens_mask());
    let words = encoding.get_word_ids();
    for word in words {
        put(out, word.unwrap_or(NONE));
    }
    let sequences = encoding.get_sequence_ids();
    for sequence in &sequences {
        put(out, sequence.map_or(NONE, |s| s as u32));
    }
    for (i, &(start, end)) in encoding.get_offsets().iter().enumerate() {
        let map = offsets.of(sequences[i], encoding.get_type_ids()[i]);
        let convert = |offset: usize| map.map_or(offset as u32, |m| m.convert(words[i], offset as u32));
        put(out, convert(start));
        put(out, convert(end));
    }
}

fn pack_tokens(out: &mut Vec<u8>, tokens: &[String]) {
    for token in tokens {
        put(out, token.chars().map(|c| c.len_utf16() as u32).sum());
    }
    let bytes: usize = tokens.iter().map(String::len).sum();
    put(out, bytes as u32);
    for token in tokens {
        out.extend_from_slice(token.as_bytes());
    }
    out.resize(out.len().next_multiple_of(4), 0);
}

fn put(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_all(out: &mut Vec<u8>, numbers: &[u32]) {
    // WebAssembly is little-endian: the numbers are their own bytes.
    out.extend_from_slice(unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), numbers.len() * 4) });
}
