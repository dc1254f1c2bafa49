"""nginx as a relay of the same kind: one worker, kept connections, nothing buffered."""

from __future__ import annotations

from pathlib import Path

CONF = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  client_max_body_size 16m;
  client_body_buffer_size 1m;
  keepalive_requests 10000000;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 4096; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=8192;
    location /v1/ {{
      proxy_pass http://engine;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


def nginx_command(folder: Path, port: int, engine: int) -> list[str]:
    """What starts it; its configuration is in `folder`."""
    conf = folder / "nginx.conf"
    conf.write_text(CONF.format(folder=folder, port=port, engine=engine))
    return ["nginx", "-c", str(conf), "-p", str(folder)]
