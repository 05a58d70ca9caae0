//! Encoding of batches of texts and pairs, raw or split into words.

use tokenizers::{EncodeInput, Encoding, InputSequence, TruncationDirection, TruncationParams, TruncationStrategy};

use crate::abi::{give, guard, take_result_buffer, text, Fallible};
use crate::ids::How;
use crate::pack::{pack, Offsets, Utf16Map};
use crate::tokenizer::Tokenizer;
use crate::unicode::tables_agree;

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
/// The windows that truncation cuts off are not wanted.
const NO_OVERFLOW: u32 = 512;

/// In the layout, in the place of a length: there is no second sequence.
const NO_PAIR: u32 = u32::MAX;

/// Encodes a batch.
///
/// `layout` holds for every input its first sequence, then its second: a length in bytes or NO_PAIR; with
/// SPLIT_INTO_WORDS the number of words (or NO_PAIR), then the length of each. `bytes` holds all texts, one
/// after the other. Returns 0, with a result as `pack` describes it, or 1, with one as `Ids::pack` does.
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
        if let Some(status) = encode_ids(tokenizer, &inputs, flags, max_length) {
            return Ok(status);
        }
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

/// Encodes by the faster tokenizer where that is there and can do what is asked; an error leaves it to the other.
fn encode_ids(tokenizer: &mut Tokenizer, inputs: &[Input], flags: u32, max_length: u32) -> Option<i32> {
    let own_settings =
        flags & PLAIN == 0 && (tokenizer.get_truncation().is_some() || tokenizer.get_padding().is_some());
    if flags & (DETAILS | SPLIT_INTO_WORDS) != 0 || own_settings {
        return None;
    }
    let how = How {
        add_special_tokens: flags & ADD_SPECIAL_TOKENS != 0,
        encode_special_tokens: tokenizer.get_encode_special_tokens(),
        truncation: match requested_truncation(flags, max_length, 0) {
            Some(_) if flags & NO_OVERFLOW == 0 => return None,
            requested => requested.map(|t| truncation_1(&t)),
        },
    };
    let ids = tokenizer.ids.as_mut()?;
    let pairs = inputs.iter().any(|input| input.second.is_some());
    let room_needed = if how.add_special_tokens { ids.special_token_count(pairs) } else { 0 };
    if how.truncation.as_ref().is_some_and(|t| t.max_length <= room_needed) {
        return None;
    }
    let mut out = take_result_buffer();
    for input in inputs {
        let (Sequence::Text(first), None | Some(Sequence::Text(_))) = (&input.first, &input.second) else {
            return None;
        };
        let second = match &input.second {
            Some(Sequence::Text(text)) => Some(*text),
            _ => None,
        };
        if !tables_agree(first) || !second.is_none_or(tables_agree) {
            return None;
        }
        ids.pack(&mut out, first, second, &how).ok()?;
    }
    give(out);
    Some(1)
}

/// The same truncation in the terms of tokenizers 1.0.
fn truncation_1(params: &TruncationParams) -> tokenizers_1::TruncationParams {
    tokenizers_1::TruncationParams {
        max_length: params.max_length,
        stride: params.stride,
        direction: match params.direction {
            TruncationDirection::Left => tokenizers_1::TruncationDirection::Left,
            TruncationDirection::Right => tokenizers_1::TruncationDirection::Right,
        },
        strategy: match params.strategy {
            TruncationStrategy::LongestFirst => tokenizers_1::TruncationStrategy::LongestFirst,
            TruncationStrategy::OnlyFirst => tokenizers_1::TruncationStrategy::OnlyFirst,
            TruncationStrategy::OnlySecond => tokenizers_1::TruncationStrategy::OnlySecond,
        },
    }
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
    // The faster way numbers the texts of pairs wrongly where there are no special tokens.
    let encodings: Vec<Encoding> = if details || inputs.iter().any(|input| input.second.is_some()) {
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
