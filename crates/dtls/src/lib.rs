//! DTLS as str0m is given it: one checked configuration for all sessions, and an ear for the keys.
//!
//! str0m's own provider checks a new configuration for every session, which tries out each cipher and key exchange: thirty
//! times what all the rest of a new session costs. It also parses the private key for each. The handshake itself is
//! `dimpl`'s, as in str0m.
//!
//! Whoever seals and opens media itself, beside a session that keeps ICE, DTLS and data channels, gets the keys by
//! [`listening`]. Nobody else pays for that.

mod ear;
mod keys;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

pub use ear::{Ear, Keys, listening};

use dimpl::crypto::aws_lc_rs::default_provider;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
};
use str0m::crypto::{CryptoError, CryptoProvider};

/// The crypto of str0m's features, with DTLS from here.
#[must_use]
pub fn provider() -> CryptoProvider {
    static DTLS: CheckedOnce = CheckedOnce { config: OnceLock::new() };
    CryptoProvider { dtls_provider: &DTLS, ..str0m::crypto::from_feature_flags() }
}

struct CheckedOnce {
    /// With the size of datagrams that it is for.
    config: OnceLock<(Option<usize>, Arc<dimpl::Config>)>,
}

impl CheckedOnce {
    fn config(&self, mtu: Option<usize>) -> Result<Arc<dimpl::Config>, CryptoError> {
        match self.config.get() {
            Some((known, config)) if *known == mtu => Ok(config.clone()),
            Some(_) => check(mtu),
            None => {
                let config = check(mtu)?;
                Ok(self.config.get_or_init(|| (mtu, config.clone())).1.clone())
            }
        }
    }
}

fn check(mtu: Option<usize>) -> Result<Arc<dimpl::Config>, CryptoError> {
    // ICE has proven by then that the peer is where it says, so a cookie would only cost a round trip.
    let crypto = dimpl::crypto::CryptoProvider { key_provider: &keys::ParsedOnce, ..default_provider() };
    let mut config = dimpl::Config::builder().use_server_cookie(false).with_crypto_provider(crypto);
    if let Some(mtu) = mtu {
        config = config.mtu(mtu);
    }
    let checked =
        config.build().map_err(|error| CryptoError::Other(format!("DTLS configuration: {error}")))?;
    Ok(Arc::new(checked))
}

impl fmt::Debug for CheckedOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckedOnce")
    }
}

impl DtlsProvider for CheckedOnce {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        str0m::crypto::from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let (config, cert) = (self.config(mtu)?, cert.clone());
        let dtls = match version {
            DtlsVersion::Dtls12 => dimpl::Dtls::new_12(config, cert, now),
            DtlsVersion::Dtls13 => dimpl::Dtls::new_13(config, cert, now),
            DtlsVersion::Auto => dimpl::Dtls::new_auto(config, cert, now),
            other => return Err(CryptoError::Other(format!("DTLS version {other} is not known here"))),
        };
        Ok(Box::new(Handshake { dtls, ear: ear::of_this_session() }))
    }
}

/// One connection's DTLS; every call goes on as it is.
struct Handshake {
    dtls: dimpl::Dtls,
    ear: Option<Ear>,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handshake")
    }
}

impl DtlsInstance for Handshake {
    fn set_active(&mut self, active: bool) {
        self.dtls.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.dtls.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        let active = self.dtls.is_active();
        let output = self.dtls.poll_output(buf);
        if let (Some(ear), DtlsOutput::KeyingMaterial(material, profile)) = (&self.ear, &output) {
            ear.hear(Keys { material: material.to_vec(), profile: *profile, active });
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.dtls.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.dtls.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.dtls.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.dtls.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.dtls.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.dtls.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.dtls.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_share_what_was_checked_and_another_size_of_datagrams_gets_its_own() {
        let provider = CheckedOnce { config: OnceLock::new() };
        let config = |mtu| provider.config(mtu).unwrap();
        assert!(Arc::ptr_eq(&config(Some(1_150)), &config(Some(1_150))));
        assert!(!Arc::ptr_eq(&config(Some(1_150)), &config(Some(1_200))));
        assert_eq!((config(Some(1_150)).mtu(), config(Some(1_200)).mtu()), (1_150, 1_200));
    }
}
