//! The latest `N` ids, to know one that comes again.
use std::collections::{HashSet, VecDeque};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "VecDeque<String>", into = "VecDeque<String>")]
pub(crate) struct Recent<const N: usize> {
    order: VecDeque<String>,
    known: HashSet<String>,
}

impl<const N: usize> Recent<N> {
    /// False if it is known already.
    pub(crate) fn insert(&mut self, id: &str) -> bool {
        if !self.known.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > N
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.known.contains(id)
    }
}

impl<const N: usize> From<VecDeque<String>> for Recent<N> {
    fn from(order: VecDeque<String>) -> Self {
        let mut recent = Self::default();
        order.iter().for_each(|id| {
            recent.insert(id);
        });
        recent
    }
}

impl<const N: usize> From<Recent<N>> for VecDeque<String> {
    fn from(recent: Recent<N>) -> Self {
        recent.order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_the_latest_and_forgets_the_oldest() {
        let mut recent = Recent::<2>::default();
        assert!(recent.insert("a") && recent.insert("b"));
        assert!(!recent.insert("a"));
        assert!(recent.insert("c"));
        assert!(!recent.contains("a") && recent.contains("b") && recent.contains("c"));
        let written = serde_json::to_string(&recent).unwrap();
        assert_eq!(written, r#"["b","c"]"#);
        assert!(serde_json::from_str::<Recent<2>>(&written).unwrap().contains("c"));
    }
}
