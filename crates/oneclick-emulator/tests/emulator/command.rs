use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_oneclick-emulator");

/// A running command, which is killed if a test fails before it has ended.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn output(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

#[cfg(unix)]
#[test]
fn the_command_prints_its_base_url_serves_and_stops_on_a_signal() {
    for signal in ["INT", "TERM"] {
        let child = Command::new(BINARY)
            .args(["--listen", "127.0.0.1:0", "--seed=7", "--lenient"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Running(child);
        let mut stdout = BufReader::new(running.0.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.strip_prefix("http://").unwrap().strip_suffix('\n').unwrap();

        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(
            stream,
            "POST /v1/plant_tree HTTP/1.1\r\nhost: localhost\r\nx-api-key: test_secret\r\n\
             content-type: application/json\r\ncontent-length: 33\r\n\r\n\
             {{\"amount\":5,\"customerName\":\"Ada\"}}",
        )
        .unwrap();
        let mut status = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut status).unwrap();
        assert_eq!(status, "HTTP/1.1 200 OK\r\n");

        // The connection is still open, and must not keep the command alive.
        let pid = running.0.id().to_string();
        let kill = Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status();
        assert!(kill.unwrap().success());
        let start = Instant::now();
        let code = loop {
            match running.0.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if start.elapsed() > Duration::from_secs(30) => panic!("SIG{signal} ignored"),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        assert_eq!(code, Some(0), "SIG{signal}");

        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        running.0.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "one line and nothing else");
    }
}

#[test]
fn a_bad_argument_is_named_and_exits_with_2() {
    for (arguments, words) in [
        (vec!["--lisen", "127.0.0.1:0"], "--lisen"),
        (vec!["--listen", "8787"], "127.0.0.1:8787"),
        (vec!["--listen", "localhost:99999"], "127.0.0.1:8787"),
        (vec!["--listen"], "--listen"),
        (vec!["--seed", "x"], "x"),
        (vec!["--seed=-1"], "-1"),
        (vec!["--lenient=yes"], "lenient"),
        (vec!["--allow-host", "emulator:8787"], "without a port"),
        (vec!["--allow-host", "*"], "host name"),
        (vec!["--allow-host"], "--allow-host"),
        (vec!["serve"], "serve"),
    ] {
        let output = output(&arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(words) && error.contains("--help"), "{arguments:?}: {error}");
        assert_eq!(output.stdout, b"");
    }
}

#[test]
fn an_address_in_use_exits_with_1() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let output = output(&["--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&address));
    assert_eq!(output.stdout, b"");
}

#[test]
fn help_and_version_are_printed() {
    let help = output(&["--help"]);
    assert!(help.status.success());
    let text = String::from_utf8(help.stdout).unwrap();
    for option in ["--listen", "--allow-host", "--seed", "--lenient", "--help", "--version"] {
        assert!(text.contains(option));
    }
    let version = output(&["--version"]);
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        concat!("oneclick-emulator ", env!("CARGO_PKG_VERSION"), "\n"),
    );
}

/// Starts the command, and returns it with its address.
fn serve(arguments: &[&str]) -> (Running, String) {
    let mut child = Command::new(BINARY)
        .args(["--listen", "127.0.0.1:0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").unwrap().to_owned();
    (Running(child), address)
}

/// Sends a request with this `Host`, and returns the connection and the status line.
fn request(address: &str, host: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET /v1/whoami HTTP/1.1\r\nhost: {host}\r\nx-api-key: test_fd\r\n\r\n")
        .unwrap();
    let mut status = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut status).unwrap();
    (stream, status)
}

#[test]
fn allow_host_allows_host_names() {
    let (_running, address) = serve(&["--allow-host", "emulator", "--allow-host=Other.test"]);
    for (host, status) in
        [("emulator:8787", 200), ("other.test", 200), ("localhost", 200), ("evil.example", 421)]
    {
        let (_, line) = request(&address, host);
        assert!(line.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {line}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_connection_uses_one_file_descriptor() {
    const CONNECTIONS: usize = 50;
    let (running, address) = serve(&[]);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", running.0.id())).unwrap().count();
    // The first connection may open descriptors that stay open.
    drop(request(&address, "localhost"));
    let before = descriptors();
    let connections: Vec<_> = (0..CONNECTIONS).map(|_| request(&address, "localhost")).collect();
    assert!(connections.iter().all(|(_, status)| status.contains(" 200 ")));
    // The first connection may have been closed meanwhile.
    let taken = descriptors() - before;
    assert!((CONNECTIONS - 1..=CONNECTIONS).contains(&taken), "{taken}");
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    for arguments in [&["--help"][..], &["--version"], &["--listen", "127.0.0.1:0"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(BINARY).args(arguments).stdout(full).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.contains("could not write to standard output: "), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
