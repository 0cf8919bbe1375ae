/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_files - a server's certificate, its key and the clients' CA, read from the files that settings name.
 *
 * Thread  any that may wait for disk.
 */
#pragma once

#include "common/buf.h"
#include "common/http_server.h"

struct tls_paths {
	const char *cert, *key; /* PEM: the chain, the server's first; NULL: no TLS */
	const char *client_ca;  /* NULL: clients are not asked for a certificate */
};
struct tls_files {
	struct buf cert, key, client_ca; /* empty when they are not set; at most 1 MiB each */
	bool asks_client;
};
bool tls_files_read(struct tls_files *ret, const struct tls_paths *paths, struct error *err) MUST_CHECK;
void tls_files_fini(struct tls_files *files);
/* Borrowed from files. */
struct http_tls tls_files_view(const struct tls_files *files);
/* Do they go together, as http_server_new() will say? Without a certificate: yes. */
bool tls_files_check(const struct tls_paths *paths, struct error *err) MUST_CHECK;
