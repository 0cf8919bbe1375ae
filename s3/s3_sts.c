/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_sts.h"

#include "common/clock.h"
#include "common/crypto.h"
#include "common/file.h"
#include "common/url.h"
#include "s3/s3_sign.h"

#define TOKEN_MAX (16 * 1024)
#define FORM_MAX  (64 * 1024)
#define URL_MAX   512

bool s3_sts_endpoint(
	const struct s3_identity *identity, const char *region, struct buf *into, struct error *err)
{
	struct str set = str_of(identity->sts_endpoint);

	if (set.len && !url_is_base(set))
		return error_set(err, ERROR_INVALID, NULL, "AWS_ENDPOINT_URL_STS is no URL of a server");
	while (str_ends(set, "/"))
		set.len--;
	if (set.len)
		buf_add(into, set);
	else if (identity->sts_endpoints == S3_STS_LEGACY)
		buf_puts(into, "https://sts.amazonaws.com");
	else
		buf_format(into, "https://sts.%s.amazonaws.com%s", region,
			str_starts(str_of(region), "cn-") ? ".cn" : "");
	return buf_check(into, "URL of STS", err);
}

static void add_field(struct buf *form, const char *name, struct str value)
{
	buf_format(form, "%s%s=", form->len ? "&" : "", name);
	buf_url(form, value, "");
}

static void add_role(struct buf *form, const char *action, const struct s3_role *role)
{
	add_field(form, "Action", str_of(action));
	add_field(form, "Version", STR("2011-06-15"));
	add_field(form, "RoleArn", str_of(role->arn));
	add_field(form, "RoleSessionName", str_of(role->session));
	if (role->seconds)
		buf_format(form, "&DurationSeconds=%u", role->seconds);
}

static bool ask(const struct s3_identity *identity, const char *url, struct str form,
	struct http_headers *headers, struct s3_loan *ret, struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };
	struct http_call_spec spec = { .method = "POST",
		.url = url,
		.headers = headers,
		.body = form,
		.has_body = true,
		.ca_file = identity->ca_file };
	int64_t date_s;
	bool ok = http_headers_add(headers, STR("Content-Type"), STR("application/x-www-form-urlencoded")) &&
		  s3_loan_ask(&spec, "STS", &result, &date_s, err) &&
		  s3_loan_parse_xml(buf_str(&result.body), date_s, ret, err);

	s3_loan_wipe(&result.body);
	return ok || error_add(err, "%s", url);
}

bool s3_sts_take_token(const struct s3_identity *identity, const char *region, const struct s3_role *role,
	const char *token_file, struct s3_loan *ret, struct error *err)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(buf) url = buf_limit(URL_MAX);
	AUTO_FINI(buf) form = buf_limit(FORM_MAX);
	AUTO_FINI(buf) token = buf_limit(TOKEN_MAX);
	bool ok;

	if (!s3_sts_endpoint(identity, region, &url, err) || !file_read(token_file, &token, err))
		return error_add(err, "the token of AWS_WEB_IDENTITY_TOKEN_FILE");
	buf_puts(&url, "/");
	add_role(&form, "AssumeRoleWithWebIdentity", role);
	add_field(&form, "WebIdentityToken", str_trim(buf_str(&token)));
	ok = buf_check(&form, "request to STS", err) &&
	     ask(identity, buf_text(&url), buf_str(&form), headers, ret, err);
	s3_loan_wipe(&token);
	s3_loan_wipe(&form);
	return ok;
}

/* What STS hears as Host, and the path. */
static void split(const char *url, struct buf *host, struct buf *path)
{
	struct str rest = str_of(url), authority;
	bool tls = str_skip(&rest, "https://");

	if (!tls)
		(void)str_skip(&rest, "http://");
	if (!str_until(&rest, '/', &authority))
		authority = rest;
	if (str_ends(authority, tls ? ":443" : ":80"))
		authority.len -= tls ? 4 : 3;
	buf_add(host, authority);
	buf_putc(path, '/');
	buf_add(path, rest);
}

bool s3_sts_take_role(const struct s3_identity *identity, const char *region, const struct s3_role *role,
	const struct s3_loan *with, struct s3_loan *ret, struct error *err)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(buf) url = buf_limit(URL_MAX);
	AUTO_FINI(buf) host = buf_limit(URL_MAX);
	AUTO_FINI(buf) path = buf_limit(URL_MAX);
	AUTO_FINI(buf) form = buf_limit(FORM_MAX);
	const struct s3_keys keys = { .access_key = with->access_key,
		.secret_key = with->secret_key,
		.session_token = with->session_token[0] ? with->session_token : NULL,
		.region = identity->sts_endpoints == S3_STS_LEGACY ? "us-east-1" : region,
		.service = "sts" };
	char hash[65];

	if (!s3_sts_endpoint(identity, region, &url, err))
		return false;
	buf_puts(&url, "/");
	split(buf_text(&url), &host, &path);
	add_role(&form, "AssumeRole", role);
	if (role->external_id[0])
		add_field(&form, "ExternalId", str_of(role->external_id));
	if (!buf_check(&form, "request to STS", err) || !buf_check(&url, "URL of STS", err))
		return false;
	hash_sha256_hex(buf_str(&form), hash);
	const struct s3_sign_request sign = { .method = "POST",
		.host = buf_text(&host),
		.path = buf_text(&path),
		.body = hash,
		.wall_s = clock_wall_s() };
	return s3_sign(&keys, &sign, headers, err) &&
	       ask(identity, buf_text(&url), buf_str(&form), headers, ret, err);
}
