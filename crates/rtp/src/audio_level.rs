//! The audio level that a client sends beside each audio packet (RFC 6464).

/// How loud one audio packet is, and whether its sender takes it for speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// 0 is silence, 127 is the loudest: the RFC's figure (dB below overload) turned round, so that more is louder.
    pub loudness: u8,
    /// The sender's own voice detection, where it has one.
    pub voice: Option<bool>,
}

impl AudioLevel {
    /// From the one byte of the header extension (RFC 6464, section 3): the V bit, then 0 to 127 dB below overload.
    pub const fn from_extension(byte: u8) -> Self {
        AudioLevel { loudness: 127 - (byte & 0x7f), voice: Some(byte & 0x80 != 0) }
    }

    /// From a level in dBov (0 is overload, -127 is silence); what is outside that range is cut to it.
    pub fn from_dbov(level: i8, voice: Option<bool>) -> Self {
        let below = level.unsigned_abs().min(127) * u8::from(level < 0);
        AudioLevel { loudness: 127 - below, voice }
    }

    /// The level as a share of full amplitude, 0.0 to 1.0 (what a volume bar shows).
    pub fn amplitude(self) -> f32 {
        if self.loudness == 0 {
            return 0.0;
        }
        10f32.powf((f32::from(self.loudness) - 127.0) / 20.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_counts_downwards_and_we_count_upwards() {
        // V set, 30 dB below overload.
        assert_eq!(AudioLevel::from_extension(0x80 | 30), AudioLevel { loudness: 97, voice: Some(true) });
        assert_eq!(AudioLevel::from_extension(127).loudness, 0);
        assert_eq!(AudioLevel::from_dbov(-30, None), AudioLevel { loudness: 97, voice: None });
        assert_eq!(AudioLevel::from_dbov(i8::MIN, None).loudness, 0);
        assert_eq!(AudioLevel::from_dbov(5, None).loudness, 127);
    }

    #[test]
    fn twenty_decibels_are_a_factor_of_ten() {
        assert_eq!(AudioLevel::from_dbov(0, None).amplitude(), 1.0);
        assert!((AudioLevel::from_dbov(-20, None).amplitude() - 0.1).abs() < 1e-6);
        assert_eq!(AudioLevel::from_dbov(-127, None).amplitude(), 0.0);
    }
}
