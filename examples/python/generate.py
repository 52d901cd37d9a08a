"""Makes the gRPC stubs in ./stubs from the repository's proto/ folder."""

import pathlib
import sys

from grpc_tools import protoc

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto"


def main() -> int:
    out = HERE / "stubs"
    out.mkdir(exist_ok=True)
    files = sorted(str(file) for api in ("sfu", "calls") for file in (PROTO / "sluice" / api).rglob("*.proto"))
    return protoc.main(["protoc", f"-I{PROTO}", f"--python_out={out}", f"--grpc_python_out={out}", *files])


if __name__ == "__main__":
    sys.exit(main())
