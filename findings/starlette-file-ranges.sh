#!/usr/bin/env bash
# Finding: Starlette's FileResponse rejects Range headers that RFC 9110 wants ignored or served, and never returns 304.
#
# Guess:     A response that sends ETag and Accept-Ranges and understands If-Range follows RFC 9110 for the rest, too:
#            an unknown range unit and an invalid range are ignored (200, §14.2 and §14.1.1), a list with one
#            satisfiable range gives that range (206, §14.1.2), and a matching If-None-Match gives 304 (§13.1.2).
# Happens:   Range: items=0-1           400
#            Range: bytes=5-2           400
#            Range: bytes=0-4,200-300   416 for a file of 100 bytes, although bytes 0 to 4 exist
#            If-None-Match: <its ETag>  200 with the whole body; StaticFiles in the same package returns 304
# Follows:   Do not use FileResponse to test how a proxy or a download client treats ranges or validators, and serve
#            files to browsers with StaticFiles: FileResponse sends the file again on every revalidation.
# Versions:  starlette 1.10.0, httpx 0.28.1, Python 3.11
# Source:    starlette/responses.py (FileResponse), starlette/staticfiles.py (StaticFiles.is_not_modified)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check starlette==1.10.0 httpx==0.28.1

cat > "$folder/ranges.py" <<'PYTHON'
import asyncio
import pathlib
import sys

import httpx
import starlette
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

folder = pathlib.Path(sys.argv[1])
(folder / "file.txt").write_bytes(b"0123456789" * 10)


async def download(request):
    return FileResponse(folder / "file.txt")


application = Starlette(routes=[Route("/download", download), Mount("/static", StaticFiles(directory=folder))])


async def main():
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:

        async def status(path, **headers):
            response = await client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            return response.status_code

        etag = (await client.get("/download")).headers["etag"]
        seen = {
            "Range: bytes=0-4": await status("/download", range="bytes=0-4"),
            "Range: items=0-1": await status("/download", range="items=0-1"),
            "Range: bytes=5-2": await status("/download", range="bytes=5-2"),
            "Range: bytes=0-4,200-300": await status("/download", range="bytes=0-4,200-300"),
            "If-None-Match, FileResponse": await status("/download", if_none_match=etag),
            "If-None-Match, StaticFiles": await status("/static/file.txt", if_none_match=etag),
        }
    print("starlette", starlette.__version__)
    for request, code in seen.items():
        print(f"{request:30} {code}")
    if list(seen.values()) != [206, 400, 400, 416, 200, 304]:
        sys.exit("The behaviour has changed.")


asyncio.run(main())
PYTHON
mkdir "$folder/files"
"$folder/venv/bin/python" "$folder/ranges.py" "$folder/files"
