//! Single normalizers, pre-tokenizers and decoders, made from their part of a tokenizer.json.

use serde_json::Value;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    Decoder, DecoderWrapper, NormalizedString, Normalizer, NormalizerWrapper, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
};

use crate::abi::{give, guard, make, text};
use crate::patterns::rewrite;

pub enum Component {
    Normalizer(NormalizerWrapper),
    PreTokenizer(PreTokenizerWrapper),
    Decoder(DecoderWrapper),
}

/// `kind`: 0 a normalizer, 1 a pre-tokenizer, 2 a decoder.
/// # Safety
/// `json` holds `len` bytes of UTF-8.
#[no_mangle]
pub unsafe extern "C" fn component_new(kind: u32, json: *const u8, len: usize) -> *mut Component {
    make(|| {
        let json = rewrite(text(json, len));
        Ok(match kind {
            0 => Component::Normalizer(serde_json::from_str(&json)?),
            1 => Component::PreTokenizer(serde_json::from_str(&json)?),
            2 => Component::Decoder(serde_json::from_str(&json)?),
            _ => return Err(format!("there is no component of kind {kind}").into()),
        })
    })
}

/// # Safety
/// `component` is a live handle, and no more afterwards.
#[no_mangle]
pub unsafe extern "C" fn component_free(component: *mut Component) {
    drop(Box::from_raw(component));
}

/// Result: JSON. A normalizer takes a text and gives a text; a pre-tokenizer takes a text and gives
/// `[piece, start, end]`, offsets in UTF-16 units; a decoder takes an array of tokens and gives a text.
/// # Safety
/// `component` is a live handle, `json` holds `len` bytes of UTF-8.
#[no_mangle]
pub unsafe extern "C" fn component_run(component: *const Component, json: *const u8, len: usize) -> i32 {
    guard(|| {
        let json = text(json, len);
        let result = match &*component {
            Component::Normalizer(normalizer) => {
                let mut text = NormalizedString::from(serde_json::from_str::<String>(json)?);
                normalizer.normalize(&mut text)?;
                Value::from(text.get())
            }
            Component::PreTokenizer(pre_tokenizer) => {
                let text: String = serde_json::from_str(json)?;
                let mut pieces = PreTokenizedString::from(text.as_str());
                pre_tokenizer.pre_tokenize(&mut pieces)?;
                pieces
                    .get_splits(OffsetReferential::Original, OffsetType::Char)
                    .into_iter()
                    .map(|(piece, (start, end), _)| {
                        Value::from(vec![Value::from(piece), units(&text, start).into(), units(&text, end).into()])
                    })
                    .collect()
            }
            Component::Decoder(decoder) => Value::from(decoder.decode(serde_json::from_str(json)?)?),
        };
        Ok(give(serde_json::to_vec(&result)?))
    })
}

/// The UTF-16 units before a code point of `text`.
fn units(text: &str, code_point: usize) -> usize {
    text.chars().take(code_point).map(char::len_utf16).sum()
}

/// Result: JSON, the 256 letters that stand for bytes in byte-level vocabularies, sorted.
#[no_mangle]
pub extern "C" fn byte_level_alphabet() -> i32 {
    guard(|| {
        let mut letters: Vec<char> = ByteLevel::alphabet().into_iter().collect();
        letters.sort_unstable();
        Ok(give(serde_json::to_vec(&letters)?))
    })
}
