//! A model that always tokenizes the whole text.
//!
//! tokenizers 0.23.1 and 0.23.2 stop tokenizing once `max_length` tokens are there, so that the windows
//! that should overflow get lost. Python's 0.23.3 has the fix, crates.io has no 0.23.3. Until it does,
//! these wrappers leave the limit out; truncation afterwards is the library's own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::{AddedToken, Model, PreTokenizedString, Result, Token, Trainer, TruncationDirection};

#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WholeModel(ModelWrapper);

impl WholeModel {
    /// Its type, as tokenizer.json names it.
    pub fn kind(&self) -> &'static str {
        match self.0 {
            ModelWrapper::BPE(_) => "BPE",
            ModelWrapper::WordPiece(_) => "WordPiece",
            ModelWrapper::WordLevel(_) => "WordLevel",
            ModelWrapper::Unigram(_) => "Unigram",
        }
    }
}

impl Model for WholeModel {
    type Trainer = WholeTrainer;

    fn tokenize(&self, sequence: &str) -> Result<Vec<Token>> {
        self.0.tokenize(sequence)
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.0.token_to_id(token)
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        self.0.id_to_token(id)
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        self.0.get_vocab()
    }

    fn get_vocab_size(&self) -> usize {
        self.0.get_vocab_size()
    }

    fn save(&self, folder: &Path, prefix: Option<&str>) -> Result<Vec<PathBuf>> {
        self.0.save(folder, prefix)
    }

    fn get_trainer(&self) -> WholeTrainer {
        WholeTrainer(self.0.get_trainer())
    }

    fn tokenize_in_pretokenized(
        &self,
        pretokenized: &mut PreTokenizedString,
        _limit: Option<(usize, TruncationDirection)>,
    ) -> Result<()> {
        pretokenized.tokenize(|normalized| self.0.tokenize(normalized.get()))
    }
}

pub struct WholeTrainer(pub TrainerWrapper);

impl Trainer for WholeTrainer {
    type Model = WholeModel;

    fn should_show_progress(&self) -> bool {
        false
    }

    fn train(&self, model: &mut WholeModel) -> Result<Vec<AddedToken>> {
        self.0.train(&mut model.0)
    }

    fn feed<I, S, F>(&mut self, iterator: I, process: F) -> Result<()>
    where
        I: Iterator<Item = S> + Send,
        S: AsRef<str> + Send,
        F: Fn(&str) -> Result<Vec<String>> + Sync,
    {
        self.0.feed(iterator, process)
    }
}
