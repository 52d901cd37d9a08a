//! The people, groups and messages that a first start begins with.
use super::{Account, Change, Person, World};

/// Id, name, about, hue. The handle is `@` and the id.
const PEOPLE: &[(&str, &str, &str, u16)] = &[
    ("asha", "Asha Rao", "Potter in Pune. Answers on the second ring.", 24),
    ("ravi", "Ravi Menon", "Trains, tea and long calls with my sister.", 204),
    ("meera", "Meera Iyer", "Plays the veena; rehearses on Sundays.", 316),
    ("kabir", "Kabir Khan", "Runs the corner bookshop. Ask me for a novel.", 142),
    ("lena", "Lena Vogel", "Maps mountain paths, mostly on foot.", 262),
    ("tomas", "Tomás Duarte", "Cooks for forty on Fridays.", 8),
    ("yuki", "Yuki Tanaka", "Draws birds that hold still.", 178),
    ("zainab", "Zainab Bello", "Night shifts, so write first and call later.", 48),
];

/// Members, and who says what. Two members are a direct thread, the title being empty.
type Talk = (&'static str, &'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

const TALKS: &[Talk] = &[
    (
        "t_asha_ravi",
        "",
        &["asha", "ravi"],
        &[
            ("ravi", "The kiln survived the move?"),
            ("asha", "Not a crack. I can show you, call me when you are off the train."),
            ("ravi", "In ten minutes, with better reception."),
        ],
    ),
    (
        "t_meera_asha",
        "",
        &["meera", "asha"],
        &[
            ("meera", "Concert is on the 14th. I kept two seats for you."),
            ("asha", "Then Lena comes along. What do you play?"),
        ],
    ),
    (
        "t_kabir_zainab",
        "",
        &["kabir", "zainab"],
        &[
            ("kabir", "Your order came in, the one with the blue cover."),
            ("zainab", "Wonderful, I pass by after work."),
        ],
    ),
    (
        "t_lena_yuki",
        "",
        &["lena", "yuki"],
        &[
            ("lena", "Saw a wallcreeper today and thought of you."),
            ("yuki", "Did it hold still?"),
            ("lena", "Never."),
        ],
    ),
    (
        "t_weekend",
        "Weekend walk",
        &["lena", "asha", "ravi", "yuki"],
        &[
            ("lena", "Nine o'clock at the bridge, rain or not."),
            ("yuki", "I bring the sketchbook and an umbrella."),
            ("ravi", "Let us talk over the way on Friday, all of us."),
        ],
    ),
    (
        "t_kitchen",
        "Friday kitchen",
        &["tomas", "kabir", "meera", "zainab", "asha"],
        &[
            ("tomas", "Forty-two this week. Who cuts onions?"),
            ("kabir", "Me, but only with music."),
            ("meera", "I see what I can do."),
        ],
    ),
];

/// Who keeps whom as a contact, and whom they follow.
const CONTACTS: &[(&str, &str)] = &[("asha", "ravi"), ("ravi", "asha"), ("asha", "meera"), ("meera", "asha")];
const FOLLOWS: &[(&str, &str)] =
    &[("lena", "yuki"), ("yuki", "lena"), ("asha", "tomas"), ("ravi", "lena"), ("kabir", "meera")];

/// Minutes between two messages.
const PACE_MS: i64 = 7 * 60_000;

/// The world of a first start. The last messages are as old as a few minutes.
pub(crate) fn world(now_ms: i64) -> World {
    let mut world = World::default();
    for (id, name, about, hue) in PEOPLE {
        let (id, handle) = ((*id).to_owned(), format!("@{id}"));
        let person =
            Person { id: id.clone(), handle, name: (*name).into(), about: (*about).into(), hue: *hue };
        world.accounts.insert(id, Account::new(person, true));
    }
    for (of, lists) in PEOPLE.iter().map(|(id, ..)| id).zip(std::iter::repeat([CONTACTS, FOLLOWS])) {
        if let Some(account) = world.accounts.get_mut(*of) {
            let of_them = |list: &[(&str, &str)]| {
                list.iter().filter(|(one, _)| one == of).map(|(_, other)| (*other).to_owned()).collect()
            };
            account.contacts = of_them(lists[0]);
            account.followed = of_them(lists[1]);
        }
    }
    let mut untold = Vec::new();
    for talk in TALKS {
        if let Err(problem) = begin(&mut world, talk, now_ms, &mut untold) {
            // A test opens each of them; a sample that does not fit is no reason not to start.
            tracing::error!(%problem, thread = talk.0, "a sample thread was left out");
        }
    }
    world
}

fn begin(world: &mut World, talk: &Talk, now_ms: i64, untold: &mut Vec<Change>) -> Result<(), super::No> {
    let (id, title, members, lines) = *talk;
    let begins = now_ms - PACE_MS * i64::try_from(lines.len()).unwrap_or_default();
    let others: Vec<String> = members.iter().skip(1).map(|member| (*member).to_owned()).collect();
    let thread = match others.as_slice() {
        [other] => world.open_direct(id.into(), members[0], other, begins, untold)?,
        others => world.open_group(id.into(), members[0], others, title, begins, untold)?,
    };
    for (index, (from, line)) in lines.iter().enumerate() {
        let at_ms = begins + PACE_MS * i64::try_from(index).unwrap_or_default();
        world.post(&thread, from, format!("{id}_{index}"), line, at_ms, untold)?;
    }
    for member in members {
        world.mark_read(&thread, member, untold)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_samples_fit_the_rules_of_the_product() {
        let world = world(1_000_000_000_000);
        assert_eq!(world.accounts.len(), PEOPLE.len());
        assert_eq!(world.threads.len(), TALKS.len());
        for (id, _, members, lines) in TALKS {
            let thread = &world.threads[*id];
            assert_eq!(thread.messages.len(), lines.len(), "{id}");
            assert!(members.iter().all(|member| thread.unread(member) == 0), "{id}");
        }
        for account in world.accounts.values() {
            assert!(world.by_handle(&account.person.handle).is_ok());
        }
    }
}
