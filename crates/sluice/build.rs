//! Puts the web page where `rust-embed` finds it: `$OUT_DIR/page`.
//!
//! The page is `web/dist`. If that is missing or older than its sources it is built with npm; without Node, or if
//! that fails, a plain page says what to do. The Rust build never fails for the page's sake.
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// What the page is made of, below `web/`.
const SOURCES: [&str; 7] =
    ["src", "sdk/src", "public", "index.html", "package-lock.json", "tsconfig.json", "vite.config.ts"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=SLUICE_SKIP_WEB");
    let web = PathBuf::from("../../web");
    for source in SOURCES {
        println!("cargo:rerun-if-changed={}", web.join(source).display());
    }
    let page = PathBuf::from(std::env::var("OUT_DIR")?).join("page");
    if page.exists() {
        fs::remove_dir_all(&page)?;
    }
    match built_page(&web) {
        Ok(dist) => copy(&dist, &page)?,
        Err(reason) => {
            println!("cargo:warning=the binary will hold no web page: {reason}");
            // Look again at the next build: the page may have been built by hand.
            println!("cargo:rerun-if-changed={}", web.join("dist").display());
            fs::create_dir_all(&page)?;
            fs::write(page.join("index.html"), plain_page(&reason))?;
        }
    }
    Ok(())
}

/// The folder of the built page, after building it if need be.
fn built_page(web: &Path) -> Result<PathBuf, String> {
    let dist = web.join("dist");
    if std::env::var_os("SLUICE_SKIP_WEB").is_some() {
        return Err("SLUICE_SKIP_WEB is set".into());
    }
    if !web.join("package.json").exists() {
        return Err("there is no web/ folder".into());
    }
    let index = dist.join("index.html");
    if modified(&index).is_some_and(|built| newest(web).is_none_or(|source| source <= built)) {
        return Ok(dist);
    }
    if Command::new(npm()).arg("--version").output().is_err() {
        return Err("npm was not found; install Node 20 or newer, then build again".into());
    }
    println!(
        "cargo:warning=built the web page with `npm ci && npm run build` in web/ (again when its sources change)"
    );
    if !web.join("node_modules").exists() {
        run(web, &["ci", "--no-audit", "--no-fund"])?;
    }
    run(web, &["run", "build"])?;
    if index.exists() { Ok(dist) } else { Err("`npm run build` in web/ made no dist/index.html".into()) }
}

fn run(web: &Path, arguments: &[&str]) -> Result<(), String> {
    let what = format!("`npm {}` in web/", arguments.join(" "));
    let output = Command::new(npm())
        .args(arguments)
        .current_dir(web)
        .output()
        .map_err(|error| format!("{what} did not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    for line in String::from_utf8_lossy(&text).lines() {
        println!("cargo:warning={line}");
    }
    Err(format!("{what} failed, see above"))
}

fn npm() -> &'static str {
    if cfg!(windows) { "npm.cmd" } else { "npm" }
}

fn newest(web: &Path) -> Option<SystemTime> {
    SOURCES.iter().filter_map(|source| newest_below(&web.join(source))).max()
}

fn newest_below(path: &Path) -> Option<SystemTime> {
    let Ok(entries) = fs::read_dir(path) else { return modified(path) };
    entries.flatten().filter_map(|entry| newest_below(&entry.path())).max()
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn plain_page(reason: &str) -> String {
    let reason = reason.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Sluice</title>\
         <body style='font: 16px/1.5 system-ui; max-width: 40rem; margin: 4rem auto; padding: 0 1rem'>\
         <h1>Sluice runs</h1><p>This binary was built without its web page: {reason}.</p>\
         <p>With Node 20 or newer installed, build the page and then Sluice again:</p>\
         <pre>npm --prefix web ci\nnpm --prefix web run build\ncargo run --release</pre>\
         <p>Clients that use the LiveKit SDKs connect to this address all the same.</p></html>\n"
    )
}
