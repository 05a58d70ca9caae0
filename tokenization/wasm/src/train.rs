//! Training of a tokenizer's model on texts.

use serde_json::{json, Value};
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::models::unigram::UnigramTrainer;
use tokenizers::models::wordlevel::WordLevelTrainer;
use tokenizers::models::wordpiece::WordPieceTrainer;
use tokenizers::models::TrainerWrapper;

use crate::abi::{guard, text, Fallible};
use crate::tokenizer::{added_tokens, overlay, Tokenizer};
use crate::whole_model::WholeTrainer;

/// Trains on texts whose lengths in bytes are `lengths` and whose bytes follow each other in `bytes`.
/// `options`: `type` (BPE, WordPiece, WordLevel, Unigram) and the fields of that trainer.
/// # Safety
/// `tokenizer` is a live handle, the pointers describe live memory as said above.
#[no_mangle]
pub unsafe extern "C" fn tokenizer_train(
    tokenizer: *mut Tokenizer,
    options: *const u8,
    options_len: usize,
    lengths: *const u32,
    count: usize,
    bytes: *const u8,
) -> i32 {
    guard(|| {
        let mut trainer = WholeTrainer(trainer(&serde_json::from_str(text(options, options_len))?)?);
        let mut start = bytes;
        let mut texts: Vec<&str> = Vec::with_capacity(count);
        for &length in std::slice::from_raw_parts(lengths, count) {
            texts.push(text(start, length as usize));
            start = start.add(length as usize);
        }
        let tokenizer = &mut *tokenizer;
        tokenizer.ids = None;
        tokenizer.train(&mut trainer, texts.into_iter())?;
        Ok(0)
    })
}

fn trainer(options: &Value) -> Fallible<TrainerWrapper> {
    let mut fields = options.as_object().ok_or("the options of a trainer must be an object")?.clone();
    let kind = fields.remove("type").and_then(|t| t.as_str().map(String::from)).ok_or("the trainer lacks its type")?;
    if let Some(special) = fields.get("special_tokens") {
        let special = serde_json::to_value(added_tokens(special, true)?)?;
        fields.insert("special_tokens".into(), special);
    }
    fields.insert("show_progress".into(), json!(false));
    let fields = Value::Object(fields);
    Ok(match kind.as_str() {
        "BPE" => TrainerWrapper::BpeTrainer(with(serde_json::to_value(BpeTrainer::default())?, &fields)?),
        "WordLevel" => {
            TrainerWrapper::WordLevelTrainer(with(serde_json::to_value(WordLevelTrainer::default())?, &fields)?)
        }
        "Unigram" => TrainerWrapper::UnigramTrainer(with(serde_json::to_value(UnigramTrainer::default())?, &fields)?),
        "WordPiece" => {
            // It wraps a BPE trainer, whose fields are the ones that count.
            let mut defaults = serde_json::to_value(WordPieceTrainer::builder().build())?;
            defaults["bpe_trainer"] = overlay(defaults["bpe_trainer"].take(), &fields);
            TrainerWrapper::WordPieceTrainer(serde_json::from_value(defaults)?)
        }
        other => {
            return Err(format!("there is no trainer of type {other}: use BPE, WordPiece, WordLevel or Unigram").into())
        }
    })
}

fn with<T: serde::de::DeserializeOwned>(defaults: Value, given: &Value) -> Fallible<T> {
    let known = defaults.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    if let Some(unknown) = given.as_object().and_then(|g| g.keys().find(|key| !known.contains(key))) {
        return Err(format!("the trainer has no option {unknown}").into());
    }
    Ok(serde_json::from_value(overlay(defaults, given))?)
}
