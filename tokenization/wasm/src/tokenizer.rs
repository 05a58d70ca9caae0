//! A tokenizer: made from its JSON, configured, asked for its vocabulary, used for decoding.

use std::ops::{Deref, DerefMut};
use std::str::FromStr;

use serde_json::{json, Value};
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PaddingParams, PostProcessor, PostProcessorWrapper,
    PreTokenizerWrapper, TokenizerImpl, TruncationParams,
};

use crate::abi::{give, guard, make, text, Fallible};
use crate::ids::Ids;
use crate::patterns::{restore, rewrite};
use crate::whole_model::WholeModel;

type Library = TokenizerImpl<WholeModel, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// The library's tokenizer, and the faster one for ids alone where there is one.
pub struct Tokenizer {
    library: Library,
    pub ids: Option<Ids>,
}

impl Deref for Tokenizer {
    type Target = Library;

    fn deref(&self) -> &Library {
        &self.library
    }
}

impl DerefMut for Tokenizer {
    fn deref_mut(&mut self) -> &mut Library {
        &mut self.library
    }
}

/// # Safety
/// `json` holds `len` bytes of UTF-8.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_new(json: *const u8, len: usize) -> *mut Tokenizer {
    make(|| Ok(Tokenizer { library: Library::from_str(&rewrite(text(json, len)))?, ids: None }))
}

/// Makes the faster tokenizer for ids, which `tokenizer_encode` uses from then on until the vocabulary changes.
/// Fails where this tokenizer has parts that it lacks.
/// # Safety
/// `tokenizer` is a live handle.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_prepare_ids(tokenizer: *mut Tokenizer) -> i32 {
    guard(|| {
        let tokenizer = &mut *tokenizer;
        tokenizer.ids = Some(Ids::of(serde_json::to_value(&tokenizer.library)?)?);
        Ok(0)
    })
}

/// # Safety
/// `tokenizer` is a live handle, and no more afterwards.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_free(tokenizer: *mut Tokenizer) {
    drop(Box::from_raw(tokenizer));
}

/// Result: the tokenizer.json.
/// # Safety
/// `tokenizer` is a live handle.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_to_json(tokenizer: *const Tokenizer, pretty: u32) -> i32 {
    guard(|| Ok(give(restore((*tokenizer).to_string(pretty != 0)?).into_bytes())))
}

/// Result: JSON with the fields `truncation` and `padding` as in tokenizer.json, and `model`, its type.
/// # Safety
/// `tokenizer` is a live handle.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_settings(tokenizer: *const Tokenizer) -> i32 {
    guard(|| {
        let tokenizer = &*tokenizer;
        let settings = json!({
            "truncation": tokenizer.get_truncation(),
            "padding": tokenizer.get_padding(),
            "model": tokenizer.get_model().kind(),
        });
        Ok(give(serde_json::to_vec(&settings)?))
    })
}

/// Applies an object with any of these fields, and returns how many tokens were added:
/// `truncation` and `padding` (null, or the fields of tokenizer.json; what is missing has the library's
/// default), `added_tokens` (strings or objects as in tokenizer.json), `encode_special_tokens`.
/// # Safety
/// `tokenizer` is a live handle, `json` holds `len` bytes of UTF-8.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_configure(tokenizer: *mut Tokenizer, json: *const u8, len: usize) -> i32 {
    guard(|| {
        let tokenizer = &mut *tokenizer;
        let options: Value = serde_json::from_str(text(json, len))?;
        if let Some(given) = options.get("truncation") {
            let defaults = serde_json::to_value(TruncationParams::default())?;
            tokenizer.with_truncation(serde_json::from_value(overlay(defaults, given))?)?;
        }
        if let Some(given) = options.get("padding") {
            let defaults = serde_json::to_value(PaddingParams::default())?;
            tokenizer.with_padding(serde_json::from_value(overlay(defaults, given))?);
        }
        if let Some(value) = options.get("encode_special_tokens").and_then(Value::as_bool) {
            tokenizer.set_encode_special_tokens(value);
        }
        let mut count = 0;
        if let Some(given) = options.get("added_tokens") {
            count = tokenizer.add_tokens(added_tokens(given, false)?)?;
            tokenizer.ids = None;
        }
        Ok(count as i32)
    })
}

/// `defaults` with the fields of `given` over them; null stays null.
pub fn overlay(mut defaults: Value, given: &Value) -> Value {
    let (Some(base), Some(over)) = (defaults.as_object_mut(), given.as_object()) else {
        return given.clone();
    };
    for (key, value) in over {
        base.insert(key.clone(), value.clone());
    }
    defaults
}

/// Tokens given as strings, or as objects in the way of tokenizer.json without the id.
pub fn added_tokens(list: &Value, special: bool) -> Fallible<Vec<AddedToken>> {
    let list = list.as_array().ok_or("the tokens to add must be an array")?;
    list.iter()
        .map(|token| match token {
            Value::String(content) => Ok(AddedToken::from(content.clone(), special)),
            Value::Object(fields) => {
                let content =
                    fields.get("content").and_then(Value::as_str).ok_or("an added token lacks its content")?;
                let flag = |name: &str, default: bool| fields.get(name).and_then(Value::as_bool).unwrap_or(default);
                let special = flag("special", special);
                Ok(AddedToken::from(content, special)
                    .single_word(flag("single_word", false))
                    .lstrip(flag("lstrip", false))
                    .rstrip(flag("rstrip", false))
                    .normalized(flag("normalized", !special)))
            }
            _ => Err("an added token must be a string or an object".into()),
        })
        .collect()
}

/// Result: the text of `len` token ids.
/// # Safety
/// `tokenizer` is a live handle, `ids` holds `len` numbers.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_decode(
    tokenizer: *const Tokenizer,
    ids: *const u32,
    len: usize,
    skip_special_tokens: u32,
) -> i32 {
    guard(|| {
        let ids = std::slice::from_raw_parts(ids, len);
        Ok(give((*tokenizer).decode(ids, skip_special_tokens != 0)?.into_bytes()))
    })
}

/// The id of a token, or -1.
/// # Safety
/// `tokenizer` is a live handle, `token` holds `len` bytes of UTF-8.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_token_to_id(tokenizer: *const Tokenizer, token: *const u8, len: usize) -> i32 {
    (*tokenizer).token_to_id(text(token, len)).map_or(-1, |id| id as i32)
}

/// Result: the token; returns 1 instead of 0 where there is none.
/// # Safety
/// `tokenizer` is a live handle.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_id_to_token(tokenizer: *const Tokenizer, id: u32) -> i32 {
    match (*tokenizer).id_to_token(id) {
        Some(token) => give(token.into_bytes()),
        None => 1,
    }
}

/// # Safety
/// `tokenizer` is a live handle.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_vocab_size(tokenizer: *const Tokenizer, with_added: u32) -> u32 {
    (*tokenizer).get_vocab_size(with_added != 0) as u32
}

/// Result: JSON, pairs of token and id in the order of the ids.
/// # Safety
/// `tokenizer` is a live handle.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_vocab(tokenizer: *const Tokenizer, with_added: u32) -> i32 {
    guard(|| {
        let mut vocab: Vec<(String, u32)> = (*tokenizer).get_vocab(with_added != 0).into_iter().collect();
        vocab.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        Ok(give(serde_json::to_vec(&vocab)?))
    })
}

/// Result: JSON, pairs of id and added token in the order of the ids.
/// # Safety
/// `tokenizer` is a live handle.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_added_tokens(tokenizer: *const Tokenizer) -> i32 {
    guard(|| {
        let mut tokens: Vec<(u32, AddedToken)> = (*tokenizer).get_added_tokens_decoder().into_iter().collect();
        tokens.sort_by_key(|(id, _)| *id);
        Ok(give(serde_json::to_vec(&tokens)?))
    })
}

/// How many special tokens the post-processor adds to a text or to a pair.
/// # Safety
/// `tokenizer` is a live handle.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_special_token_count(tokenizer: *const Tokenizer, pair: u32) -> u32 {
    (*tokenizer).get_post_processor().map_or(0, |p| p.added_tokens(pair != 0)) as u32
}
