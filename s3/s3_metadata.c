/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_metadata.h"

#include "common/file.h"
#include "common/ip.h"
#include "common/url.h"

#define URL_MAX       2048
#define TOKEN_MAX     (16 * 1024)
#define ROLE_NAME_MAX 512
#define ECS           "http://169.254.170.2"
#define ROLES         "/latest/meta-data/iam/security-credentials/"

/* ---- containers ---- */

static bool is_near(struct str authority)
{
	static const char *const nets[] = { "127.0.0.0/8", "::1", "169.254.170.2", "169.254.170.23",
		"fd00:ec2::23" };
	struct ip_net net;
	struct ip ip;

	if (str_is_nocase(authority, "localhost") || str_starts(authority, "localhost:"))
		return true;
	if (!ip_parse_host(authority, &ip))
		return false;
	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++)
		if (ip_net_parse(str_of(nets[i]), &net, NULL) && ip_net_has(&net, &ip))
			return true;
	return false;
}

static bool is_plain(struct str url)
{
	for (size_t i = 0; i < url.len; i++)
		if (url.at[i] <= ' ' || url.at[i] > '~' || strchr("\"<>\\#@", url.at[i]))
			return false;
	return true;
}

/* The query of a URL is its own business; the rest has to be one. */
static bool url_is_allowed(struct str url)
{
	const char *query = memchr(url.at, '?', url.len);
	struct str base = query ? str_from(url.at, (size_t)(query - url.at)) : url, rest = base, authority;

	if (!is_plain(url) || !url_is_base(base))
		return false;
	if (str_skip(&rest, "https://"))
		return true;
	(void)str_skip(&rest, "http://");
	return is_near(str_until(&rest, '/', &authority) ? authority : rest);
}

bool s3_metadata_container_url(const struct s3_identity *identity, struct buf *into, struct error *err)
{
	struct str path = str_of(identity->container_path), url = str_of(identity->container_url);

	if (path.len) {
		if (path.at[0] != '/' || !is_plain(path))
			return error_set(err, ERROR_INVALID, NULL,
				"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must be a path that begins with /");
		buf_puts(into, ECS);
		buf_add(into, path);
	} else {
		if (!url.len || !url_is_allowed(url))
			return error_set(err, ERROR_INVALID, NULL,
				"AWS_CONTAINER_CREDENTIALS_FULL_URI must be https://..., or http:// to "
				"localhost, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23]");
		buf_add(into, url);
	}
	return buf_check(into, "URL of a container's keys", err);
}

static bool add_authorization(
	const struct s3_identity *identity, struct http_headers *headers, struct error *err)
{
	AUTO_FINI(buf) token = buf_limit(TOKEN_MAX);
	struct str text = str_of(identity->container_token);
	bool ok;

	if (identity->container_token_file && identity->container_token_file[0]) {
		if (!file_read(identity->container_token_file, &token, err))
			return error_add(err, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
		text = str_trim(buf_str(&token));
	}
	ok = !text.len || http_headers_add(headers, STR("Authorization"), text);
	s3_loan_wipe(&token);
	return ok || error_set(err, ERROR_INVALID, NULL,
			     "AWS_CONTAINER_AUTHORIZATION_TOKEN has a character that no header has");
}

bool s3_metadata_take_container(const struct s3_identity *identity, struct s3_loan *ret, struct error *err)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(http_result) result = { 0 };
	AUTO_FINI(buf) url = buf_limit(URL_MAX);
	struct http_call_spec spec = { .method = "GET", .headers = headers, .ca_file = identity->ca_file };
	int64_t date_s;
	bool ok;

	if (!s3_metadata_container_url(identity, &url, err) || !add_authorization(identity, headers, err))
		return false;
	spec.url = buf_text(&url);
	ok = s3_loan_ask(&spec, "the container's agent", &result, &date_s, err) &&
	     s3_loan_parse_json(buf_str(&result.body), date_s, ret, err);
	s3_loan_wipe(&result.body);
	return ok || error_add(err, "AWS_CONTAINER_CREDENTIALS_%s_URI",
			     identity->container_path && identity->container_path[0] ? "RELATIVE" : "FULL");
}

/* ---- a machine ---- */

struct service {
	const char *base;
	size_t base_len;
	struct http_headers *headers; /* with the token */
};

static bool ask(const struct service *service, const char *method, struct str path,
	const struct http_headers *headers, struct http_result *result, int64_t *ret_date_s,
	struct error *err)
{
	AUTO_FINI(buf) url = buf_limit(URL_MAX);
	struct http_call_spec spec = { .method = method, .headers = headers, .has_body = *method == 'P' };

	buf_append(&url, service->base, service->base_len);
	buf_add(&url, path);
	if (!buf_check(&url, "URL of the metadata service", err))
		return false;
	spec.url = buf_text(&url);
	return s3_loan_ask(&spec, "the metadata service of the machine", result, ret_date_s, err);
}

static bool take_session(struct service *service, struct error *err)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(http_result) result = { 0 };
	int64_t date_s;
	bool ok;

	if (!http_headers_add(headers, STR("X-aws-ec2-metadata-token-ttl-seconds"), STR("21600")))
		return error_set(err, ERROR_INTERNAL, NULL, "header");
	if (!ask(service, "PUT", STR("/latest/api/token"), headers, &result, &date_s, err))
		return error_add(err, "no token (in a container the hop limit of the machine must be 2)");
	ok = result.body.len && http_headers_add(service->headers, STR("X-aws-ec2-metadata-token"),
					str_trim(buf_str(&result.body)));
	s3_loan_wipe(&result.body);
	return ok || error_set(err, ERROR_UNAVAILABLE, NULL,
			     "the metadata service of the machine gives no token that can be sent");
}

static bool take_role_name(const struct service *service, struct buf *into, struct error *err)
{
	AUTO_FINI(http_result) result = { 0 };
	struct str name;
	int64_t date_s;

	if (!ask(service, "GET", STR(ROLES), service->headers, &result, &date_s, err))
		return error_add(err, "the role of the machine (has it an instance profile?)");
	name = str_trim(buf_str(&result.body));
	/* There is one; were there more, the first line would be it. */
	(void)str_until(&name, '\n', &name);
	buf_url(into, str_trim(name), "");
	return (into->len && !into->failed) ||
	       error_set(err, ERROR_UNAVAILABLE, NULL, "the machine has no role");
}

bool s3_metadata_take_machine(const struct s3_identity *identity, struct s3_loan *ret, struct error *err)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(http_result) result = { 0 };
	AUTO_FINI(buf) path = buf_limit(ROLE_NAME_MAX);
	const char *url = identity->metadata_url ? identity->metadata_url : "";
	struct str base = str_of(url);
	struct service service = { .headers = headers };
	int64_t date_s;
	bool ok;

	if (!url_is_base(base))
		return error_set(
			err, ERROR_INVALID, NULL, "AWS_EC2_METADATA_SERVICE_ENDPOINT is no URL of a server");
	while (str_ends(base, "/"))
		base.len--;
	service.base = base.at;
	service.base_len = base.len;
	buf_puts(&path, ROLES);
	ok = take_session(&service, err) && take_role_name(&service, &path, err) &&
	     ask(&service, "GET", buf_str(&path), headers, &result, &date_s, err) &&
	     s3_loan_parse_json(buf_str(&result.body), date_s, ret, err);
	s3_loan_wipe(&result.body);
	return ok;
}
