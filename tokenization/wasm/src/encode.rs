//! Encoding of batches of texts and pairs, raw or split into words.

use tokenizers::{EncodeInput, Encoding, InputSequence, TruncationDirection, TruncationParams, TruncationStrategy};

use crate::abi::{give, guard, take_result_buffer, text, Fallible};
use crate::pack::{pack, Offsets, Utf16Map};
use crate::tokenizer::Tokenizer;

/// Adds the special tokens of the post-processor.
const ADD_SPECIAL_TOKENS: u32 = 1;
/// Returns masks, word and sequence ids and offsets beside ids, type ids and attention mask.
const DETAILS: u32 = 2;
/// Returns the tokens as strings.
pub const TOKENS: u32 = 4;
/// The sequences are lists of words.
const SPLIT_INTO_WORDS: u32 = 8;
/// Leaves out the truncation and padding that the tokenizer itself has.
const PLAIN: u32 = 16;
/// Together with PLAIN: truncates as the arguments say.
const TRUNCATE: u32 = 32;
const TRUNCATE_LEFT: u32 = 64;
const ONLY_FIRST: u32 = 128;
const ONLY_SECOND: u32 = 256;

/// In the layout, in the place of a length: there is no second sequence.
const NO_PAIR: u32 = u32::MAX;

/// Encodes a batch.
///
/// `layout` holds for every input its first sequence, then its second: a length in bytes or NO_PAIR; with
/// SPLIT_INTO_WORDS the number of words (or NO_PAIR), then the length of each. `bytes` holds all texts, one
/// after the other. Result: see `pack`.
/// # Safety
/// `tokenizer` is a live handle, the pointers describe live memory as said above.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_encode(
    tokenizer: *mut Tokenizer,
    layout: *const u32,
    layout_len: usize,
    bytes: *const u8,
    flags: u32,
    max_length: u32,
    stride: u32,
) -> i32 {
    guard(|| {
        let tokenizer = &mut *tokenizer;
        let layout = std::slice::from_raw_parts(layout, layout_len);
        let inputs = Reader { layout, bytes, split: flags & SPLIT_INTO_WORDS != 0 }.read();
        if flags & PLAIN == 0 {
            return encode(tokenizer, &inputs, flags);
        }
        let truncation = tokenizer.get_truncation().cloned();
        let padding = tokenizer.get_padding().cloned();
        let result = tokenizer.with_truncation(requested_truncation(flags, max_length, stride)).map(|_| ());
        tokenizer.with_padding(None);
        let result = result.and_then(|()| encode(tokenizer, &inputs, flags));
        restore_truncation(tokenizer, truncation)?;
        tokenizer.with_padding(padding);
        result
    })
}

fn requested_truncation(flags: u32, max_length: u32, stride: u32) -> Option<TruncationParams> {
    (flags & TRUNCATE != 0).then(|| TruncationParams {
        max_length: max_length as usize,
        stride: stride as usize,
        direction: if flags & TRUNCATE_LEFT != 0 { TruncationDirection::Left } else { TruncationDirection::Right },
        strategy: if flags & ONLY_FIRST != 0 {
            TruncationStrategy::OnlyFirst
        } else if flags & ONLY_SECOND != 0 {
            TruncationStrategy::OnlySecond
        } else {
            TruncationStrategy::LongestFirst
        },
    })
}

/// Puts back what was there, even settings that `with_truncation` would refuse: a file may hold such.
fn restore_truncation(tokenizer: &mut Tokenizer, previous: Option<TruncationParams>) -> Fallible<()> {
    let Some(previous) = previous else {
        tokenizer.with_truncation(None)?;
        return Ok(());
    };
    tokenizer.with_truncation(Some(TruncationParams { stride: 0, ..Default::default() }))?;
    if let Some(current) = tokenizer.get_truncation_mut() {
        *current = previous;
    }
    Ok(())
}

fn encode(tokenizer: &Tokenizer, inputs: &[Input], flags: u32) -> Fallible<i32> {
    let add_special_tokens = flags & ADD_SPECIAL_TOKENS != 0;
    let details = flags & DETAILS != 0;
    let sources: Vec<EncodeInput> = inputs.iter().map(Input::source).collect();
    let encodings: Vec<Encoding> = if details {
        tokenizer.encode_batch_char_offsets(sources, add_special_tokens)?
    } else {
        tokenizer.encode_batch_fast(sources, add_special_tokens)?
    };
    let mut out = take_result_buffer();
    for (encoding, input) in encodings.iter().zip(inputs) {
        let offsets = details.then(|| Offsets::new(input.utf16_maps(), encoding));
        pack(&mut out, encoding, flags, offsets.as_ref());
    }
    Ok(give(out))
}

enum Sequence<'a> {
    Text(&'a str),
    Words(Vec<&'a str>),
}

impl<'a> Sequence<'a> {
    fn source(&self) -> InputSequence<'a> {
        match self {
            Self::Text(text) => (*text).into(),
            Self::Words(words) => words.clone().into(),
        }
    }

    fn utf16_map(&self) -> Utf16Map {
        match self {
            Self::Text(text) => Utf16Map::of_text(text),
            Self::Words(words) => Utf16Map::of_words(words),
        }
    }
}

struct Input<'a> {
    first: Sequence<'a>,
    second: Option<Sequence<'a>>,
}

impl<'a> Input<'a> {
    fn source(&self) -> EncodeInput<'a> {
        match &self.second {
            Some(second) => EncodeInput::Dual(self.first.source(), second.source()),
            None => EncodeInput::Single(self.first.source()),
        }
    }

    fn utf16_maps(&self) -> Vec<Utf16Map> {
        std::iter::once(&self.first).chain(&self.second).map(Sequence::utf16_map).collect()
    }
}

/// Reads inputs off the layout and the bytes.
struct Reader<'a> {
    layout: &'a [u32],
    bytes: *const u8,
    split: bool,
}

impl<'a> Reader<'a> {
    unsafe fn read(mut self) -> Vec<Input<'a>> {
        let mut inputs = Vec::new();
        while !self.layout.is_empty() {
            let first = self.sequence().unwrap_or(Sequence::Text(""));
            inputs.push(Input { first, second: self.sequence() });
        }
        inputs
    }

    unsafe fn sequence(&mut self) -> Option<Sequence<'a>> {
        let length = self.number();
        if length == NO_PAIR {
            return None;
        }
        if !self.split {
            return Some(Sequence::Text(self.text(length)));
        }
        let mut words = Vec::with_capacity(length as usize);
        for _ in 0..length {
            let length = self.number();
            words.push(self.text(length));
        }
        Some(Sequence::Words(words))
    }

    fn number(&mut self) -> u32 {
        let (first, rest) = self.layout.split_first().unwrap_or((&NO_PAIR, &[]));
        self.layout = rest;
        *first
    }

    unsafe fn text(&mut self, length: u32) -> &'a str {
        let start = self.bytes;
        self.bytes = start.add(length as usize);
        text(start, length as usize)
    }
}
