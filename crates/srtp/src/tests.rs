use proptest::prelude::*;

use super::*;

const PROFILES: [Profile; 3] = [Profile::Aes128Gcm, Profile::Aes256Gcm, Profile::Aes128CmSha1_80];

pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn pair(profile: Profile) -> ((Sealer, Opener), (Sealer, Opener)) {
    let material: Vec<u8> = (0..profile.material_len() as u8).collect();
    let of = |role| association(profile, &material, role).unwrap();
    (of(Role::Client), of(Role::Server))
}

fn packet(sequence: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    let mut packet = vec![0x80, 96, high, low, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef];
    packet.extend_from_slice(payload);
    packet
}

/// Packets that libsrtp's own test has, which came about without this crate.
#[test]
fn packets_are_those_of_libsrtp() {
    let rtp = "800f1234decafbadcafebabeabababababababababababababababab";
    let rtcp = "81c8000bcafebabeabababababababababababababababab";
    let cm = (
        Profile::Aes128CmSha1_80,
        ("e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6"),
        "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb",
        "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798",
    );
    let gcm = (
        Profile::Aes128Gcm,
        ("000102030405060708090a0b0c0d0e0f", "a0a1a2a3a4a5a6a7a8a9aaab"),
        "800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392",
        "81c8000bcafebabec98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123ba88ce61e80000001",
    );
    for (profile, (key, salt), sealed_rtp, sealed_rtcp) in [cm, gcm] {
        let material = [key, key, salt, salt].map(hex).concat();
        let (mut sealer, opener) = association(profile, &material, Role::Client).unwrap();
        let mut packet = hex(rtp);
        sealer.rtp(&mut packet, 12, 0x1234).unwrap();
        assert_eq!(packet, hex(sealed_rtp), "{profile:?}");
        assert_eq!(opener.rtp(&mut packet, 12, 0x1234).unwrap(), &hex(rtp)[12..]);

        // Its first index is 1, ours 0.
        sealer.rtcp(&mut hex(rtcp)).unwrap();
        let mut packet = hex(rtcp);
        sealer.rtcp(&mut packet).unwrap();
        assert_eq!(packet, hex(sealed_rtcp), "{profile:?}");
        assert_eq!(opener.rtcp_index(&packet), Ok(1));
        assert_eq!(opener.rtcp(&mut packet).unwrap(), hex(rtcp));
    }
}

#[test]
fn a_stream_is_received_over_its_roll_over_and_no_packet_twice() {
    for profile in PROFILES {
        let ((client, _), (_, server)) = pair(profile);
        let mut window = RtpWindow::new();
        let mut receive = |mut sealed: Vec<u8>| {
            let index = window.estimate(u16::from_be_bytes([sealed[2], sealed[3]]))?;
            let payload = window.is_fresh(index).then(|| server.rtp(&mut sealed, 12, index))?.ok()?.to_vec();
            window.accept(index);
            Some(payload)
        };
        let sealed = |index: u64| {
            let mut packet = packet(index as u16, &index.to_be_bytes());
            client.rtp(&mut packet, 12, index).unwrap();
            packet
        };
        for index in [65_533, 65_534, 65_537, 65_535, 65_536, 65_540, 65_538] {
            assert_eq!(receive(sealed(index)), Some(index.to_be_bytes().to_vec()), "{profile:?} {index}");
            assert_eq!(receive(sealed(index)), None, "{profile:?} {index} again");
        }
        let mut forged = sealed(65_541);
        forged[12] ^= 1;
        assert_eq!(receive(forged), None);
        assert!(receive(sealed(65_541)).is_some(), "what was forged took no place");
    }
}

#[test]
fn packets_lie_back_to_back_and_the_buffer_does_not_grow() {
    for profile in PROFILES {
        let ((mut client, _), (_, server)) = pair(profile);
        let plain = packet(7, b"sealed where it lies");
        let report = [0x81; 32];
        let mut buffer = Vec::with_capacity(
            2 * plain.len() + report.len() + 2 * profile.rtp_overhead() + profile.rtcp_overhead(),
        );
        let before = (buffer.as_ptr(), buffer.capacity());
        let mut starts = Vec::new();
        for index in [7, 8] {
            starts.push(buffer.len());
            buffer.extend_from_slice(&plain);
            client.rtp_at(&mut buffer, starts[starts.len() - 1], 12, index).unwrap();
        }
        let last = buffer.len();
        buffer.extend_from_slice(&report);
        client.rtcp_at(&mut buffer, last).unwrap();
        assert_eq!((buffer.as_ptr(), buffer.capacity()), before, "{profile:?}");
        assert_eq!(buffer.len(), buffer.capacity(), "{profile:?}: the overheads are right");

        assert_eq!(server.rtcp(&mut buffer[last..]).unwrap(), report);
        let (first, second) = buffer[..last].split_at_mut(starts[1]);
        assert_eq!(server.rtp(first, 12, 7).unwrap(), &plain[12..]);
        assert_eq!(server.rtp(second, 12, 8).unwrap(), &plain[12..]);
    }
}

#[test]
fn what_cannot_be_sealed_keeps_its_length() {
    for profile in PROFILES {
        let ((mut client, _), _) = pair(profile);
        let mut buffer = packet(1, &[0; 8]);
        let before = buffer.clone();
        for (start, header, index, error) in [
            (0, 11, 1, SrtpError::TooShort),
            (0, 21, 1, SrtpError::TooShort),
            (9, 12, 1, SrtpError::TooShort),
            (21, 12, 1, SrtpError::TooShort),
            (0, 12, 1 << 48, SrtpError::UsedUp),
        ] {
            assert_eq!(client.rtp_at(&mut buffer, start, header, index), Err(error), "{profile:?} {header}");
        }
        assert_eq!(client.rtcp_at(&mut buffer, 13), Err(SrtpError::TooShort));
        assert_eq!(client.rtcp_at(&mut buffer, 21), Err(SrtpError::TooShort));
        client.rtcp_index = ENCRYPTED;
        assert_eq!(client.rtcp(&mut buffer), Err(SrtpError::UsedUp));
        assert_eq!(buffer, before, "{profile:?}");
    }
}

#[test]
fn a_report_is_authentic_to_its_last_bit_and_encrypted() {
    for profile in PROFILES {
        let ((mut client, own), (_, server)) = pair(profile);
        let mut sealed = vec![0x81; 28];
        client.rtcp(&mut sealed).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let refused = server.rtcp(&mut changed);
            assert!(
                matches!(refused, Err(SrtpError::NotAuthentic | SrtpError::NotEncrypted)),
                "{profile:?} {bit}"
            );
        }
        assert_eq!(own.rtcp(&mut sealed.clone()), Err(SrtpError::NotAuthentic));
        let index = sealed.len() - if profile == Profile::Aes128CmSha1_80 { 14 } else { 4 };
        sealed[index] &= 0x7f;
        assert_eq!(server.rtcp_index(&sealed), Err(SrtpError::NotEncrypted));
        assert_eq!(server.rtcp(&mut sealed), Err(SrtpError::NotEncrypted));
    }
}

#[test]
fn keys_go_from_thread_to_thread() {
    fn moves<T: Send + Sync>() {}
    moves::<Sealer>();
    moves::<Opener>();
}

proptest! {
    #[test]
    fn what_one_seals_the_other_opens_and_nobody_else(
        payload in proptest::collection::vec(any::<u8>(), 0..1_300),
        index in 0u64..1 << 48,
        flip in any::<proptest::sample::Index>(),
    ) {
        for profile in PROFILES {
            let ((client, own), (_, server)) = pair(profile);
            let mut sealed = packet(index as u16, &payload);
            client.rtp(&mut sealed, 12, index).unwrap();
            prop_assert_eq!(sealed.len(), 12 + payload.len() + profile.rtp_overhead());
            let open = |by: &Opener, index| {
                let mut copy = sealed.clone();
                by.rtp(&mut copy, 12, index).map(|payload| payload.to_vec())
            };
            prop_assert_eq!(open(&server, index), Ok(payload.clone()));
            prop_assert_eq!(open(&own, index), Err(SrtpError::NotAuthentic));
            prop_assert_eq!(open(&server, index ^ 1 << 16), Err(SrtpError::NotAuthentic));
            let at = flip.index(sealed.len());
            sealed[at] ^= 1;
            prop_assert_eq!(server.rtp(&mut sealed, 12, index), Err(SrtpError::NotAuthentic));
        }
    }

    #[test]
    fn rtcp_goes_there_and_back_and_its_index_counts(words in 2usize..100) {
        for profile in PROFILES {
            let ((mut client, _), (_, server)) = pair(profile);
            let plain = vec![0x81; words * 4];
            for index in 0..3 {
                let mut sealed = plain.clone();
                client.rtcp(&mut sealed).unwrap();
                prop_assert_eq!(sealed.len(), plain.len() + profile.rtcp_overhead());
                prop_assert_eq!(server.rtcp_index(&sealed), Ok(index));
                prop_assert_eq!(server.rtcp(&mut sealed).unwrap(), &plain[..]);
            }
        }
    }

    #[test]
    fn noise_is_refused_whatever_it_is(noise in proptest::collection::vec(any::<u8>(), 0..200), header in 0usize..300) {
        for profile in PROFILES {
            let (_, (_, server)) = pair(profile);
            prop_assert!(server.rtp(&mut noise.clone(), header, 7).is_err());
            prop_assert!(server.rtcp(&mut noise.clone()).is_err());
        }
    }
}
