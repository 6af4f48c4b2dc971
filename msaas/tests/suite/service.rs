//! The whole service as a child process, and clients of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use audio::{Format, StemFile, WavDepth};
use demucs::weights::MODELS;
use serde_json::Value;
use tags::Tags;

use crate::network::Network;
use crate::sound::music;
use crate::support::{Place, Ran, run};

/// A line that is a JSON object.
pub(crate) fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))
}

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(100);

/// `msaas serve` in a place, on a port that stays the same when it is started again.
pub(crate) struct Service {
    place: Place,
    port: u16,
    grpc_port: u16,
    /// What a shell does before it becomes the program.
    script: Option<&'static str>,
    args: Vec<String>,
    child: Option<Child>,
}

impl Service {
    /// One that separates, with a small network that passes for `htdemucs`.
    pub(crate) fn new(network: Network) -> Self {
        Self::with(network, &[])
    }

    /// The same with further settings.
    pub(crate) fn with(network: Network, args: &[&str]) -> Self {
        let place = Place::new(network);
        install_as_htdemucs(&place);
        Self::start_in(place, &[&["--model", "htdemucs", "--threads", "1"], args].concat())
    }

    /// The same, started by a shell, whose script has the program and its arguments as `"$0" "$@"`.
    pub(crate) fn under(script: &'static str, network: Network, args: &[&str]) -> Self {
        let place = Place::new(network);
        install_as_htdemucs(&place);
        let args = [&["--model", "htdemucs", "--threads", "1"], args].concat();
        Self::start_as(Some(script), place, &args)
    }

    /// One whose usual network is `small`, which only its own folder knows.
    pub(crate) fn of_small(args: &[&str]) -> Self {
        Self::start_in(Place::new(Network::Plain), &[&["--model", "small", "--threads", "1"], args].concat())
    }

    /// One that only accepts songs.
    pub(crate) fn without_workers(args: &[&str]) -> Self {
        Self::start_in(Place::new(Network::Tiny), &[&["--no-worker"], args].concat())
    }

    fn start_in(place: Place, args: &[&str]) -> Self {
        Self::start_as(None, place, args)
    }

    fn start_as(script: Option<&'static str>, place: Place, args: &[&str]) -> Self {
        let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [port, grpc_port] =
            listeners.each_ref().map(|listener| listener.local_addr().expect("its number").port());
        let args = args.iter().map(ToString::to_string).collect();
        let mut service = Self { place, port, grpc_port, script, args, child: None };
        drop(listeners);
        service.restart();
        service
    }

    /// Kills it as a power failure does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("it was there");
        }
    }

    /// Starts it again with the same port and the same folder.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let mut command =
            self.script.map_or_else(|| self.place.msaas(), |script| self.place.msaas_under(script));
        command.args(["serve", "--address", "127.0.0.1", "--admin-port", "0", "--store-dir", "store"]);
        command.args(["--grpc-port", &self.grpc_port.to_string()]);
        command.args(["--port", &self.port.to_string()]).args(&self.args);
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).expect("a log");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.expect("it starts"));
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let child = self.child.as_mut().expect("it was started");
            let ended = child.try_wait().expect("its state").is_some();
            assert!(
                !ended && Instant::now() < end,
                "it does not listen: {}",
                std::fs::read_to_string(self.place.path("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn grpc_port(&self) -> u16 {
        self.grpc_port
    }

    /// Number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    /// The program as a client of the service, for `htdemucs`.
    pub(crate) fn client(&self, args: &[&str]) -> Command {
        let mut command = self.place.msaas();
        command.env("MSAAS_SERVER", self.url()).env("MSAAS_MODEL", "htdemucs").args(args);
        command
    }

    /// Runs the program as a client.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(&mut self.client(args))
    }

    /// Lines of a client that ended well.
    #[track_caller]
    pub(crate) fn lines(&self, args: &[&str]) -> Vec<String> {
        self.run(args).succeeds().into_iter().map(str::to_owned).collect()
    }

    /// Sends the song and gives the name of its job.
    #[track_caller]
    pub(crate) fn submit(&self, args: &[&str]) -> String {
        let lines = self.lines(&[&["submit"], args].concat());
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].clone()
    }

    /// Writes a song of 44.1 kHz whose title is its name.
    pub(crate) fn song(&self, name: &str, frames: usize) -> String {
        let path = self.path(&format!("{name}.wav"));
        let mut file = StemFile::create(&path, Format::Wav(WavDepth::Bits16), 44_100, 2).expect("created");
        file.write(&music(44_100, frames)).expect("written");
        let (title, artist) = (Some(name.to_owned()), Some("Band".to_owned()));
        file.commit(&Tags { title, artist, ..Tags::default() }).expect("committed");
        path.to_str().expect("utf-8").to_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A child whose standard output is read line by line; it goes with the test.
pub(crate) struct Talking {
    pub(crate) child: Child,
    pub(crate) lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Talking {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, lines }
    }

    /// The next line that has all these words.
    #[track_caller]
    pub(crate) fn line_with(&mut self, words: &[&str]) -> String {
        let line = self
            .lines
            .by_ref()
            .map(|line| line.expect("text"))
            .find(|line| words.iter().all(|word| line.contains(word)));
        line.unwrap_or_else(|| panic!("no line has {words:?}"))
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives out a file under any path, on a port of its own, as long as the test runs.
pub(crate) fn file_server(bytes: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its number").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let mut head = BufReader::new(stream.try_clone().expect("the same")).lines();
            while head.next().is_some_and(|line| !line.expect("a line").is_empty()) {}
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len()).expect("taken");
            stream.write_all(&bytes).expect("taken");
        }
    });
    port
}

/// Lets the installed network pass for the official one, which a server asks for by name.
fn install_as_htdemucs(place: &Place) {
    let official = &MODELS.iter().find(|model| model.name == "htdemucs").expect("known").members[0];
    let file = |name: &str| place.path("models").join(name);
    let text = std::fs::read_to_string(file("small.json")).expect("installed");
    let mut manifest: Value = json(&text);
    manifest["fingerprint"] = official.fingerprint.expect("pinned").into();
    std::fs::write(file(&format!("{}.json", official.signature)), manifest.to_string()).expect("written");
    let weights = file(&format!("{}.safetensors", official.signature));
    std::fs::copy(file("small.safetensors"), weights).expect("copied");
}
