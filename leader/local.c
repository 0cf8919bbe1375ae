/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/local.h"

#include <string.h>

#include "common/buf.h"
#include "common/crypto.h"
#include "common/file.h"
#include "leader/settings.h"

#define FILE_MAX 1024

static bool path_of(const struct leader_settings *settings, struct buf *into, struct error *err)
{
	buf_format(into, "%s/leader.local", settings->data);
	return buf_check(into, "path of leader.local", err);
}

static void put_host(const char *address, struct buf *into)
{
	if (!*address || !strcmp(address, "0.0.0.0"))
		buf_puts(into, "127.0.0.1");
	else if (!strcmp(address, "::"))
		buf_puts(into, "[::1]");
	else
		buf_format(into, strchr(address, ':') ? "[%s]" : "%s", address);
}

bool local_write(const struct leader_settings *settings, unsigned port, struct local *ret, struct error *err)
{
	AUTO_FINI(buf) path = buf_limit(4096);
	AUTO_FINI(buf) url = buf_limit(LOCAL_URL_SIZE - 1);
	AUTO_FINI(buf) text = buf_limit(FILE_MAX);

	buf_format(&url, "%s://", settings->tls_cert ? "https" : "http");
	put_host(settings->address, &url);
	buf_format(&url, ":%u", port);
	random_hex(ret->secret, (LOCAL_SECRET_SIZE - 1) / 2);
	buf_format(&text, "%s\n%s\n", buf_text(&url), ret->secret);
	return path_of(settings, &path, err) && buf_check(&url, "address", err) &&
	       str_copy(buf_str(&url), ret->url, sizeof(ret->url)) &&
	       file_make_folders(settings->data, 0700, err) &&
	       file_write_durable(buf_text(&path), buf_str(&text), 0600, err);
}

bool local_read(const struct leader_settings *settings, struct local *ret, struct error *err)
{
	AUTO_FINI(buf) path = buf_limit(4096);
	AUTO_FINI(buf) text = buf_limit(FILE_MAX);
	struct str rest, url, secret;

	if (!path_of(settings, &path, err) || !file_read(buf_text(&path), &text, err))
		return false;
	rest = buf_str(&text);
	if (!str_until(&rest, '\n', &url) || !str_until(&rest, '\n', &secret) ||
		!str_copy(url, ret->url, sizeof(ret->url)) ||
		!str_copy(secret, ret->secret, sizeof(ret->secret)))
		return error_set(err, ERROR_INVALID, NULL, "%s: not as a leader writes it", buf_text(&path));
	return true;
}

bool local_is(const struct local *local, const char *authorization)
{
	struct str given = str_of(authorization);

	return str_skip(&given, "Bearer ") && given.len == LOCAL_SECRET_SIZE - 1 && *local->secret &&
	       equal_secret(given.at, local->secret, LOCAL_SECRET_SIZE - 1);
}
