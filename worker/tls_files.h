/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_files - the certificate, its key and the clients' CA, as the settings name them, in memory.
 */
#pragma once

#include "common/buf.h"
#include "common/http_server.h"
#include "worker/settings.h"

struct tls_files {
	struct buf cert, key, client_ca;
};
/* Files that are not set are empty. At most 1 MiB each. */
bool tls_files_read(struct tls_files *ret, const struct worker_settings *settings, struct error *err) MUST_CHECK;
void tls_files_fini(struct tls_files *files);
/* Borrowed from files. */
struct http_tls tls_files_view(const struct tls_files *files, const struct worker_settings *settings);
