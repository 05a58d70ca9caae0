//! Ids without offsets, by tokenizers 1.0: several times as fast as 0.23, but it can neither be changed nor trained,
//! and knows no offsets and no windows of overflow. It is made from the JSON of a tokenizer of 0.23, and gives the same ids.

use std::collections::HashSet;

use serde_json::Value;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers_1::pipeline::{EncodeOptions, Override, PipelineToken, PipelineTokenizer};
use tokenizers_1::utils::truncation::truncate_pair;
use tokenizers_1::TruncationParams;

use crate::abi::Fallible;

pub struct Ids {
    pipeline: PipelineTokenizer,
    /// Reused from text to text.
    buffer: Vec<PipelineToken>,
    /// Texts get a space in front, which 1.0 does not do itself. Of no use where an added token cuts a text in two: its
    /// second half would need one too.
    prefix_space: bool,
    added: HashSet<u32>,
    /// Ids from here on are of bytes that the vocabulary lacks; 0.23 leaves these out before it merges.
    end_of_ids: u32,
}

impl Ids {
    /// Fails where the tokenizer has parts that 1.0 lacks, or whose results are random.
    pub fn of(mut json: Value) -> Fallible<Self> {
        let prefix_space = take_prefix_space(&mut json);
        let model = &mut json["model"];
        if model["dropout"].as_f64().is_some_and(|p| p > 0.0) {
            return Err("dropout makes ids random".into());
        }
        for field in ["end_of_word_suffix", "continuing_subword_prefix"] {
            if model["type"] != "BPE" || model[field].as_str().is_none_or(str::is_empty) {
                continue;
            }
            // 1.0.0-rc.3 has other ids there.
            return Err("merges with a prefix or suffix differ".into());
        }
        if model["type"] == "BPE" {
            model["end_of_word_suffix"] = Value::Null;
            model["continuing_subword_prefix"] = Value::Null;
        }
        // Not needed here, and not all of them can be read.
        for part in ["decoder", "truncation", "padding"] {
            json[part] = Value::Null;
        }
        tokenizers_1::canonicalize_value(&mut json)?;
        let end_of_ids = add_missing_bytes(&mut json);
        check_ids(&json)?;
        let pipeline = tokenizers_1::from_json(&serde_json::to_string(&json)?)?;
        let added = pipeline.get_added_vocabulary().get_added_tokens_decoder().keys().copied().collect();
        if end_of_ids < u32::MAX && !same_added_tokens(&json, &pipeline) {
            return Err("added tokens have other ids".into());
        }
        Ok(Self { pipeline, buffer: Vec::new(), prefix_space, added, end_of_ids })
    }

    /// How many special tokens are put around a text or a pair.
    pub fn special_token_count(&self, pair: bool) -> usize {
        let templates = self.pipeline.get_post_processor();
        if pair { &templates.pair } else { &templates.single }.n_special()
    }

    /// Appends length n, whether there are type ids (1) or all of them are 0 (0), n ids, and the n type ids.
    pub fn pack(&mut self, out: &mut Vec<u8>, first: &str, second: Option<&str>, how: &How) -> Fallible<()> {
        let options = EncodeOptions {
            add_special_tokens: false,
            encode_special_tokens: how.encode_special_tokens,
            padding: Override::Off,
            truncation: Override::Off,
        };
        let template = &self.pipeline.get_post_processor().single;
        if second.is_none() && how.truncation.is_none() && !template.has_type_ids() {
            let specials = how.add_special_tokens;
            let ids = &mut self.buffer;
            ids.clear();
            if specials {
                ids.extend(template.prefix.iter().map(|&(id, _)| id));
            }
            encode(&self.pipeline, self.prefix_space.then_some(&self.added), first, &options, ids)?;
            if specials {
                ids.extend(template.suffix.iter().map(|&(id, _)| id));
            }
            self.check(&self.buffer)?;
            put(out, &self.buffer, None);
            return Ok(());
        }
        let mut ids = Vec::with_capacity(first.len() / 4);
        let prefix = self.prefix_space.then_some(&self.added);
        encode(&self.pipeline, prefix, first, &options, &mut ids)?;
        let pair = second
            .map(|text| {
                let mut ids = Vec::with_capacity(text.len() / 4);
                encode(&self.pipeline, prefix, text, &options, &mut ids).map(|()| ids)
            })
            .transpose()?;
        let templates = self.pipeline.get_post_processor();
        let template = if pair.is_some() { &templates.pair } else { &templates.single };
        let added = if how.add_special_tokens { template.n_special() } else { 0 };
        let (ids, pair) = truncate_pair(ids, pair, how.truncation.as_ref(), added)?;
        let encoding = if how.add_special_tokens {
            template.post_process::<true>(ids, pair)
        } else {
            template.post_process::<false>(ids, pair)
        };
        self.check(encoding.ids())?;
        put(out, encoding.ids(), encoding.type_ids());
        Ok(())
    }

    fn check(&self, ids: &[PipelineToken]) -> Fallible<()> {
        if self.end_of_ids < u32::MAX && ids.iter().any(|token| token.id() >= self.end_of_ids) {
            return Err("the vocabulary lacks a byte of the text".into());
        }
        Ok(())
    }
}

/// `prefix`: a space is put in front, and which ids must not occur then.
fn encode(
    pipeline: &PipelineTokenizer,
    prefix: Option<&HashSet<u32>>,
    text: &str,
    options: &EncodeOptions,
    ids: &mut Vec<PipelineToken>,
) -> Fallible<()> {
    let Some(added) = prefix.filter(|_| !text.is_empty()) else {
        return pipeline.encode_into(text, options, ids);
    };
    let start = ids.len();
    if text.starts_with(' ') {
        pipeline.encode_into(text, options, ids)?;
    } else {
        pipeline.encode_into(&format!(" {text}"), options, ids)?;
    }
    if ids[start..].iter().any(|token| added.contains(&token.id())) {
        return Err("an added token cuts the text".into());
    }
    Ok(())
}

/// 1.0 has tables as long as the highest id.
fn check_ids(json: &Value) -> Fallible<()> {
    let Some(vocab) = json["model"]["vocab"].as_object() else { return Ok(()) };
    let highest = vocab.values().filter_map(Value::as_u64).max().unwrap_or(0);
    if highest > 4 * vocab.len() as u64 + 65536 {
        return Err("the ids are far apart".into());
    }
    Ok(())
}

/// Gives bytes that a byte-level vocabulary lacks ids behind all others, since 1.0 reads no vocabulary without them.
/// Returns where these begin, or the largest number.
fn add_missing_bytes(json: &mut Value) -> u32 {
    if json["model"]["byte_level"] != true {
        return u32::MAX;
    }
    let added = json["added_tokens"].as_array().into_iter().flatten().filter_map(|token| token["id"].as_u64());
    let highest_added = added.max().unwrap_or(0);
    let Some(vocab) = json["model"]["vocab"].as_object_mut() else { return u32::MAX };
    let highest = vocab.values().filter_map(Value::as_u64).max().unwrap_or(0).max(highest_added);
    let mut missing: Vec<String> = ByteLevel::alphabet().into_iter().map(String::from).collect();
    missing.retain(|letter| !vocab.contains_key(letter));
    missing.sort_unstable();
    if missing.is_empty() {
        return u32::MAX;
    }
    for (letter, id) in missing.into_iter().zip(highest + 1..) {
        vocab.insert(letter, id.into());
    }
    highest as u32 + 1
}

/// 1.0 numbers added tokens anew.
fn same_added_tokens(json: &Value, pipeline: &PipelineTokenizer) -> bool {
    let known = pipeline.get_added_vocabulary().get_added_tokens_decoder();
    let listed = json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    listed.iter().all(|token| {
        let id = token["id"].as_u64().map(|id| id as u32);
        id.and_then(|id| known.get(&id)).is_some_and(|found| token["content"].as_str() == Some(found.content.as_str()))
    })
}

/// Whether a byte-level pre-tokenizer puts a space in front of texts; in `json` it then no longer does.
fn take_prefix_space(json: &mut Value) -> bool {
    let known = json["normalizer"].is_null() && json["pre_tokenizer"]["type"] == "ByteLevel";
    let wanted = known && json["pre_tokenizer"]["add_prefix_space"] == true;
    if wanted {
        json["pre_tokenizer"]["add_prefix_space"] = Value::Bool(false);
    }
    wanted
}

/// How texts are encoded.
pub struct How {
    pub add_special_tokens: bool,
    pub encode_special_tokens: bool,
    pub truncation: Option<TruncationParams>,
}

fn put(out: &mut Vec<u8>, ids: &[PipelineToken], type_ids: Option<&[u8]>) {
    let type_ids = type_ids.filter(|ids| ids.iter().any(|&id| id != 0));
    out.extend_from_slice(&(ids.len() as u32).to_le_bytes());
    out.extend_from_slice(&u32::from(type_ids.is_some()).to_le_bytes());
    let ids = PipelineToken::cast_slice(ids);
    // WebAssembly is little-endian: the numbers are their own bytes.
    out.extend_from_slice(unsafe { std::slice::from_raw_parts(ids.as_ptr().cast(), ids.len() * 4) });
    for &id in type_ids.into_iter().flatten() {
        out.extend_from_slice(&u32::from(id).to_le_bytes());
    }
}
