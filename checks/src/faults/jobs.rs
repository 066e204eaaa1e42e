//! The programs: what users run, in a second or less, with an output that is
//! the same every time.

use std::path::Path;
use std::process::{Command, Stdio};

/// One program with its work.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: &'static str,
    /// The Debian package that has it.
    pub(crate) package: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
}

const PYTHON: &str = "import json,re,zlib\n\
    rows=[{'n':i,'s':str(i)*(i%17),'l':list(range(i%9))} for i in range(6000)]\n\
    text=json.dumps(rows)\n\
    back=json.loads(text)\n\
    big=bytearray(9000000)\n\
    big[::4096]=b'x'*len(big[::4096])\n\
    print(len(text),sum(len(r['s']) for r in back),len(re.findall('7+',text)),zlib.crc32(bytes(big)))";

const PERL: &str = "my %h; $h{$_ % 977} .= chr(65 + $_ % 26) x ($_ % 13) for 1..60000; \
    my @s = sort { length $h{$a} <=> length $h{$b} || $a <=> $b } keys %h; \
    my $big = 'x' x 5_000_000; $big =~ s/x{1000}/y/g; \
    print join(',', @s[0..9]), ' ', length $big, qq{\\n}";

const SQL: &str = "create table t(a integer primary key, b text); \
    with recursive c(n) as (select 1 union all select n+1 from c where n<20000) \
    insert into t select n, printf('%06d-%s', (n*7919)%20011, hex(n)) from c; \
    create index i on t(b); select count(*), min(b), max(b), sum(length(b)) from t; \
    select a from t order by b desc limit 3;";

const CXX: &str = "code=$(printf '#include <map>\\n#include <string>\\nint main(){std::map<int,std::string> m; \
    for(int i=0;i<9;i++)m[i]=std::to_string(i);return (int)m.size();}' | g++ -O1 -S -x c++ -o - -) || exit 1; \
    printf '%s' \"$code\" | wc -lc";

const GIT: &str = "d=$(mktemp -d) && cd $d && git init -q . && \
    for i in 1 2 3 4 5 6 7 8; do seq 1 ${i}000 > f$i; done && git add . && \
    git -c user.name=x -c user.email=x@x commit -q -m m && git gc -q && git fsck 2>&1 && \
    git ls-tree -r HEAD | cut -c8-; s=$?; cd /; rm -rf $d; exit $s";

pub(crate) const JOBS: &[Job] = &[
    Job { name: "python3", package: "python3", program: "python3", arguments: &["-c", PYTHON] },
    Job { name: "perl", package: "perl-base", program: "perl", arguments: &["-e", PERL] },
    Job { name: "sqlite3", package: "sqlite3", program: "sqlite3", arguments: &[":memory:", SQL] },
    Job {
        name: "sort",
        package: "coreutils",
        program: "sh",
        arguments: &[
            "-c",
            "seq 1 60000 | sort -R --random-source=/bin/ls | sort -n --parallel=2 -S 8M | md5sum",
        ],
    },
    Job { name: "git", package: "git", program: "sh", arguments: &["-c", GIT] },
    Job { name: "g++", package: "g++", program: "sh", arguments: &["-c", CXX] },
];

impl Job {
    /// The program, ready to start.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.args(self.arguments).stdin(Stdio::null());
        command.env("PATH", "/usr/bin:/bin");
        command.env("PYTHONMALLOC", "malloc").env("LC_ALL", "C").env("PYTHONHASHSEED", "1");
        command.env_remove("LD_PRELOAD").env_remove("ALLOD_CONF");
        command
    }

    /// Installs the program where that can be done.
    pub(crate) fn ensure(&self) -> Result<(), String> {
        let word = if self.program == "sh" { self.name } else { self.program };
        let paths = ["/usr/bin", "/bin"];
        if paths.iter().any(|path| Path::new(path).join(word).exists()) {
            return Ok(());
        }
        let mut install = Command::new("apt-get");
        install.args(["install", "-y", "-qq", "--no-install-recommends", self.package]);
        let done = install.stdout(Stdio::null()).status().is_ok_and(|status| status.success());
        if done { Ok(()) } else { Err(format!("{word} is missing: install {}", self.package)) }
    }
}
