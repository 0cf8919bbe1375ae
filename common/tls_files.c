/* SPDX-License-Identifier: Apache-2.0 */
#include "common/tls_files.h"

#include "common/file.h"

#define PEM_MAX (1024 * 1024)

static bool read_pem(const char *path, struct buf *into, struct error *err)
{
	*into = buf_limit(PEM_MAX);
	return !path || file_read(path, into, err);
}

bool tls_files_read(struct tls_files *ret, const struct tls_paths *paths, struct error *err)
{
	*ret = (struct tls_files){ .asks_client = paths->client_ca != NULL };
	return read_pem(paths->cert, &ret->cert, err) && read_pem(paths->key, &ret->key, err) &&
	       read_pem(paths->client_ca, &ret->client_ca, err);
}

void tls_files_fini(struct tls_files *files)
{
	buf_fini(&files->cert);
	buf_fini(&files->key);
	buf_fini(&files->client_ca);
}

struct http_tls tls_files_view(const struct tls_files *files)
{
	return (struct http_tls){ .cert_pem = buf_text(&files->cert),
		.key_pem = buf_text(&files->key),
		.client_ca_pem = files->asks_client ? buf_text(&files->client_ca) : NULL };
}

bool tls_files_check(const struct tls_paths *paths, struct error *err)
{
	AUTO_FINI(tls_files) files = { 0 };
	struct http_tls tls;

	if (!paths->cert)
		return true;
	if (!tls_files_read(&files, paths, err))
		return false;
	tls = tls_files_view(&files);
	return http_tls_check(&tls, err);
}
