//! Random ids with the prefixes by which client SDKs tell rooms, participants and tracks apart.
use rand::RngExt;

/// 14 characters of 62 are 83 bits: nobody guesses one, and two never meet.
const LENGTH: usize = 14;

/// By which the room of a call is known.
pub(crate) const CALL_PREFIX: &str = "CL_";

fn random(prefix: &str) -> String {
    let letters = rand::rng().sample_iter(rand::distr::Alphanumeric).take(LENGTH).map(char::from);
    prefix.chars().chain(letters).collect()
}

pub(crate) fn room() -> String {
    random("RM_")
}

pub(crate) fn participant() -> String {
    random("PA_")
}

pub(crate) fn link() -> String {
    random("LK_")
}

/// 20 characters: a call is named in more places, and for longer.
pub(crate) fn call() -> String {
    let letters = rand::rng().sample_iter(rand::distr::Alphanumeric).take(20).map(char::from);
    CALL_PREFIX.chars().chain(letters).collect()
}

pub(crate) fn track() -> String {
    random("TR_")
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_have_their_prefix_and_differ() {
        let (first, second) = (super::participant(), super::participant());
        assert!(first.starts_with("PA_") && first.len() == 17);
        assert_ne!(first, second);
        assert!(super::track().starts_with("TR_") && super::room().starts_with("RM_"));
    }
}
