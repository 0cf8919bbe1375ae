/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/tls_files.h"

#include "common/file.h"

#define PEM_MAX (1024 * 1024)

static bool read_pem(const char *path, struct buf *into, struct error *err)
{
	*into = buf_limit(PEM_MAX);
	return !path || file_read(path, into, err);
}

bool tls_files_read(struct tls_files *ret, const struct worker_settings *settings, struct error *err)
{
	*ret = (struct tls_files){ 0 };
	return read_pem(settings->tls_cert, &ret->cert, err) && read_pem(settings->tls_key, &ret->key, err) &&
	       read_pem(settings->tls_ca, &ret->client_ca, err);
}

void tls_files_fini(struct tls_files *files)
{
	buf_fini(&files->cert);
	buf_fini(&files->key);
	buf_fini(&files->client_ca);
}

struct http_tls tls_files_view(const struct tls_files *files, const struct worker_settings *settings)
{
	return (struct http_tls){ .cert_pem = buf_text(&files->cert),
		.key_pem = buf_text(&files->key),
		.client_ca_pem = settings->tls_ca ? buf_text(&files->client_ca) : NULL };
}
