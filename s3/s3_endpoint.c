/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_endpoint.h"

#include "common/check.h"

#define HOST_MAX   255
#define PREFIX_MAX 512

/* "http://" and "https://" are taken off. */
static bool take_scheme(struct str *url, bool *ret_tls)
{
	if (str_skip(url, "https://"))
		*ret_tls = true;
	else if (str_skip(url, "http://"))
		*ret_tls = false;
	else
		return false;
	return true;
}

static bool host_is_sane(struct str host)
{
	for (size_t i = 0; i < host.len; i++) {
		unsigned char c = (unsigned char)host.at[i];

		if (c <= ' ' || c >= 127 || strchr("@?#%\\\"<>", c))
			return false;
	}
	return host.len > 0 && host.len <= HOST_MAX;
}

/* The authority of the URL, without the port that goes without saying. */
static bool parse_endpoint(const char *text, struct str *ret_host, bool *ret_tls, struct error *err)
{
	struct str host = str_of(text);
	bool tls = false;

	if (!take_scheme(&host, &tls))
		return error_set(err, ERROR_INVALID, NULL,
			"S3 endpoint \"%s\" must begin with http:// or https://", text);
	if (str_ends(host, "/"))
		host.len--;
	if (memchr(host.at, '/', host.len))
		return error_set(err, ERROR_INVALID, NULL,
			"S3 endpoint \"%s\" has a path; the bucket and the prefix have settings of their own",
			text);
	if (!host_is_sane(host))
		return error_set(
			err, ERROR_INVALID, NULL, "S3 endpoint \"%s\" is not the URL of a server", text);
	if (str_ends(host, tls ? ":443" : ":80"))
		host.len -= tls ? 4 : 3;
	*ret_host = host;
	*ret_tls = tls;
	return true;
}

/* RFC 1123 labels and dots: the bucket may become a part of the host. Old names with "_" and upper
 * case work in path style. */
static bool bucket_is_sane(struct str bucket, bool path_style)
{
	for (size_t i = 0; i < bucket.len; i++) {
		char c = bucket.at[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
		bool old = (c >= 'A' && c <= 'Z') || c == '_';

		if (!plain && !(old && path_style))
			return false;
	}
	return bucket.len >= 3 && bucket.len <= HOST_MAX && bucket.at[0] != '.' && bucket.at[0] != '-';
}

static bool check_bucket(const struct s3_settings *settings, bool tls, struct error *err)
{
	struct str bucket = str_of(settings->bucket);

	if (!bucket_is_sane(bucket, settings->path_style))
		return error_set(err, ERROR_INVALID, NULL, "S3 bucket \"%s\" is not a name of a bucket",
			settings->bucket ? settings->bucket : "");
	if (tls && !settings->path_style && !settings->insecure && memchr(bucket.at, '.', bucket.len))
		return error_set(err, ERROR_INVALID, NULL,
			"S3 bucket \"%s\" has a dot: no certificate covers it as a host, use path style",
			settings->bucket);
	return true;
}

static bool check_prefix(struct str prefix, struct error *err)
{
	if (prefix.len > PREFIX_MAX)
		return error_set(err, ERROR_INVALID, NULL, "S3 prefix is over %d bytes", PREFIX_MAX);
	if (str_starts(prefix, "/") || str_ends(prefix, "/"))
		return error_set(err, ERROR_INVALID, NULL, "S3 prefix \"%.*s\" has a slash at an end",
			STR_ARGS(prefix));
	return true;
}

static char *aws_host(const struct s3_settings *settings)
{
	AUTO_FINI(buf) host = buf_limit(HOST_MAX + 1);
	const char *stack = settings->dual_stack ? ".dualstack" : "";

	if (settings->accelerate)
		buf_format(&host, "https://s3-accelerate%s.amazonaws.com", stack);
	else
		buf_format(&host, "https://s3%s%s.%s.amazonaws.com%s", settings->fips ? "-fips" : "", stack,
			settings->region, str_starts(str_of(settings->region), "cn-") ? ".cn" : "");
	return buf_take(&host, NULL);
}

static bool check_hosts(const struct s3_settings *settings, struct error *err)
{
	if (settings->accelerate &&
		(settings->path_style || memchr(settings->bucket, '.', strlen(settings->bucket))))
		return error_set(err, ERROR_INVALID, NULL,
			"S3 accelerate needs the bucket in the host, so no path style and no dot in its "
			"name");
	if (settings->accelerate && settings->fips)
		return error_set(err, ERROR_INVALID, NULL, "S3 accelerate has no FIPS endpoint");
	return true;
}

static void fill(struct s3_endpoint *endpoint, const struct s3_settings *settings, struct str host, bool tls)
{
	AUTO_FINI(buf) origin = buf_limit(2 * HOST_MAX + 16);
	AUTO_FINI(buf) bucket_path = buf_limit(HOST_MAX + 2);
	AUTO_FINI(buf) prefix = buf_limit(PREFIX_MAX + 2);
	AUTO_FINI(buf) root = buf_limit(HOST_MAX + 3 * PREFIX_MAX + 4);

	buf_puts(&origin, tls ? "https://" : "http://");
	if (!settings->path_style)
		buf_format(&origin, "%s.", settings->bucket);
	buf_add(&origin, host);
	buf_format(&bucket_path, "/%s", settings->path_style ? settings->bucket : "");
	if (settings->prefix && settings->prefix[0])
		buf_format(&prefix, "%s/", settings->prefix);
	buf_add(&root, buf_str(&bucket_path));
	if (settings->path_style)
		buf_putc(&root, '/');
	buf_url(&root, buf_str(&prefix), "/");

	CHECK(!origin.failed && !bucket_path.failed && !prefix.failed && !root.failed);
	endpoint->bucket = check_strdup(settings->bucket);
	endpoint->origin = buf_take(&origin, NULL);
	endpoint->host = endpoint->origin + (tls ? strlen("https://") : strlen("http://"));
	endpoint->bucket_path = buf_take(&bucket_path, NULL);
	endpoint->prefix = buf_take(&prefix, NULL);
	endpoint->root = buf_take(&root, NULL);
	endpoint->tls = tls;
}

bool s3_endpoint_init(struct s3_endpoint *endpoint, const struct s3_settings *settings, struct error *err)
{
	AUTO_STR *aws = NULL;
	const char *text = settings->endpoint;
	struct str host;
	bool tls = false;

	if (!settings->region || !settings->region[0] || strlen(settings->region) > 64)
		return error_set(err, ERROR_INVALID, NULL, "S3 region is missing");
	if (!text || !text[0])
		text = aws = aws_host(settings);
	if (!parse_endpoint(text, &host, &tls, err) || !check_bucket(settings, tls, err) ||
		!check_prefix(str_of(settings->prefix), err) || (aws && !check_hosts(settings, err)))
		return false;
	fill(endpoint, settings, host, tls);
	return true;
}

void s3_endpoint_fini(struct s3_endpoint *endpoint)
{
	free(endpoint->origin);
	free(endpoint->bucket);
	free(endpoint->bucket_path);
	free(endpoint->root);
	free(endpoint->prefix);
	*endpoint = (struct s3_endpoint){ 0 };
}

void s3_endpoint_path(const struct s3_endpoint *endpoint, const char *key, struct buf *into)
{
	if (!key) {
		buf_puts(into, endpoint->bucket_path);
		return;
	}
	buf_puts(into, endpoint->root);
	buf_url(into, str_of(key), "/");
}
