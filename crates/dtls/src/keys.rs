//! Private keys, parsed once. A node has one for all of its sessions, and parsing works out the public half: as dear as
//! signing with it.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use dimpl::CryptoError;
use dimpl::crypto::{
    Buf, HashAlgorithm, KeyProvider, SignatureAlgorithm, SigningKey, aws_lc_rs::default_provider,
};

/// Parses as the backend does, and keeps the key that each thread asked for last.
#[derive(Debug)]
pub(crate) struct ParsedOnce;

thread_local! {
    /// With the bytes that it was parsed from.
    static LAST: RefCell<Option<(Vec<u8>, Key)>> = const { RefCell::new(None) };
}

impl KeyProvider for ParsedOnce {
    fn load_private_key(&self, bytes: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        LAST.with_borrow_mut(|last| {
            if let Some((known, key)) = last
                && known == bytes
            {
                return Ok(Box::new(key.clone()) as Box<dyn SigningKey>);
            }
            let key = Key::new(default_provider().key_provider.load_private_key(bytes)?);
            *last = Some((bytes.to_vec(), key.clone()));
            Ok(Box::new(key) as Box<dyn SigningKey>)
        })
    }
}

/// A key of several sessions.
#[derive(Debug, Clone)]
struct Key {
    /// Sessions of one thread sign one after the other, so nobody waits for this.
    signer: Arc<Mutex<Box<dyn SigningKey>>>,
    algorithm: SignatureAlgorithm,
    hash: HashAlgorithm,
    hashes: Arc<[HashAlgorithm]>,
}

impl Key {
    fn new(signer: Box<dyn SigningKey>) -> Self {
        Key {
            algorithm: signer.algorithm(),
            hash: signer.hash_algorithm(),
            hashes: signer.supported_hash_algorithms().into(),
            signer: Arc::new(Mutex::new(signer)),
        }
    }
}

impl SigningKey for Key {
    fn sign(&mut self, data: &[u8], hash: HashAlgorithm, out: &mut Buf) -> Result<(), CryptoError> {
        self.signer.lock().unwrap_or_else(PoisonError::into_inner).sign(data, hash, out)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.hash
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &self.hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Vec<u8> {
        crate::provider().dtls_provider.generate_certificate().unwrap().private_key
    }

    fn loaded(bytes: &[u8]) -> Box<dyn SigningKey> {
        ParsedOnce.load_private_key(bytes).unwrap()
    }

    fn kept() -> Arc<Mutex<Box<dyn SigningKey>>> {
        LAST.with_borrow(|last| last.as_ref().unwrap().1.signer.clone())
    }

    #[test]
    fn a_key_is_parsed_once_until_another_is_asked_for() {
        let (one, two) = (key(), key());
        loaded(&one);
        let first = kept();
        loaded(&one);
        assert!(Arc::ptr_eq(&first, &kept()));
        loaded(&two);
        assert!(!Arc::ptr_eq(&first, &kept()));
        assert!(ParsedOnce.load_private_key(b"no key").is_err());
        assert!(!Arc::ptr_eq(&first, &kept()), "what cannot be parsed is not kept");
    }

    #[test]
    fn it_says_and_signs_what_the_backend_s_own_would() {
        let bytes = key();
        let own = default_provider().key_provider.load_private_key(&bytes).unwrap();
        let mut ours = loaded(&bytes);
        assert_eq!(ours.algorithm(), own.algorithm());
        assert_eq!(ours.hash_algorithm(), own.hash_algorithm());
        assert_eq!(ours.supported_hash_algorithms(), own.supported_hash_algorithms());
        let mut signature = Buf::new();
        ours.sign(b"data", ours.hash_algorithm(), &mut signature).unwrap();
        assert!(!signature.is_empty());
    }
}
