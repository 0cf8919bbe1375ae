/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/settings_http.h"

#include "common/check.h"
#include "common/log.h"
#include "common/proxies.h"

#define RATES_MAX 16 /* items of a list */
#define METHODS   "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

/* ---- rates ---- */

static void set_method_rate(
	struct worker_settings *s, const char *where, struct str name, int64_t rate, struct buf *errors)
{
	enum http_method method = http_method_parse(name);

	if (method == HTTP_OTHER)
		buf_format(errors, "%s: method %s is unknown; allowed are " METHODS "\n", where,
			log_quote(name));
	else if (rate < 1 || rate > RATE_LIMIT_MAX)
		buf_format(errors, "%s: a rate is 1 to %d requests a second\n", where, RATE_LIMIT_MAX);
	else if (s->rate_rules.method[method])
		buf_format(errors, "%s: method %s is there twice\n", where, log_quote(name));
	else
		s->rate_rules.method[method] = (uint32_t)rate;
}

static void say_unknown_key(const char *where, struct str key, struct buf *errors)
{
	static const char *const known[] = { "method", "rate" };
	const char *near = str_nearest(key, known, 2);

	buf_format(errors, "%s.%.*s: unknown key; known are method and rate", where, STR_ARGS(key));
	if (near)
		buf_format(errors, "; did you mean \"%s\"?", near);
	buf_putc(errors, '\n');
}

static void read_method(
	struct worker_settings *s, const char *where, const struct json *node, struct buf *errors)
{
	const struct json *value;
	struct str key, name = STR_NONE;
	int64_t rate = 0;

	if (json_kind(node) != JSON_OBJECT) {
		buf_format(errors, "%s: is %s; allowed is {\"method\": \"PUT\", \"rate\": 10}\n", where,
			json_kind_name(json_kind(node)));
		return;
	}
	for (void *it = NULL; json_next(node, &it, &key, &value);) {
		bool good = true;
		if (str_is_nocase(key, "method"))
			good = json_get_str(value, &name);
		else if (str_is_nocase(key, "rate"))
			good = json_get_int(value, &rate);
		else
			say_unknown_key(where, key, errors);
		if (!good)
			buf_format(errors, "%s.%.*s: is %s; a method is a text, a rate a number\n", where,
				STR_ARGS(key), json_kind_name(json_kind(value)));
	}
	set_method_rate(s, where, name, rate, errors);
}

static void read_file_methods(struct worker_settings *s, struct buf *errors)
{
	const struct json *list = s->rate_limit_methods_node;
	char where[64];

	if (json_kind(list) != JSON_ARRAY || json_len(list) > RATES_MAX) {
		buf_format(errors,
			"http.ratelimit.methods: allowed is a list of at most %d {\"method\", \"rate\"}\n",
			RATES_MAX);
		return;
	}
	for (size_t i = 0; i < json_len(list); i++) {
		(void)snprintf(where, sizeof(where), "http.ratelimit.methods[%zu]", i);
		read_method(s, where, json_at(list, i), errors);
	}
}

static void read_variable_methods(struct worker_settings *s, struct buf *errors)
{
	struct str name, number;
	uint64_t rate = 0;

	for (size_t i = 0; i < s->rate_limit_methods.len; i++) {
		struct str item = str_of(s->rate_limit_methods.at[i]);
		if (!str_split_last(item, '=', &name, &number) ||
			!str_to_number(str_trim(number), INT64_MAX, &rate))
			buf_format(errors,
				"ZOT_RATE_LIMIT_METHODS: %s is not METHOD=rate (\"GET=100,PUT=10\")\n",
				log_quote(item));
		else
			set_method_rate(s, "ZOT_RATE_LIMIT_METHODS", str_trim(name), (int64_t)rate, errors);
	}
}

static void read_rates(struct worker_settings *s, struct buf *errors)
{
	s->rate_rules = (struct rate_rules){ .all = (uint32_t)s->rate_limit };
	if (s->rate_limit_methods.len)
		read_variable_methods(s, errors);
	else if (s->rate_limit_methods_node)
		read_file_methods(s, errors);
}

/* ---- proxies ---- */

static void check_proxies(const struct worker_settings *s, struct buf *errors)
{
	AUTO(proxies) *proxies = NULL;
	struct error err;

	if (!proxies_new(&proxies, s->trusted_proxies.at, s->trusted_proxies.len, &err))
		settings_wrong(&worker_settings_table, "http.trustedProxies", errors, "%s", err.text);
}

/* ---- client certificates ---- */

struct cert_identity_rules settings_http_mtls(const struct worker_settings *s)
{
	return (struct cert_identity_rules){ .attributes = s->mtls.attributes.at,
		.attributes_len = s->mtls.attributes.len,
		.uri_pattern = s->mtls.uri_pattern,
		.uri_index = s->mtls.uri_index,
		.dns_index = s->mtls.dns_index,
		.email_index = s->mtls.email_index };
}

struct tls_paths settings_http_tls(const struct worker_settings *s)
{
	return (struct tls_paths){ .cert = s->tls_cert, .key = s->tls_key, .client_ca = s->tls_ca };
}

/* The error begins with the last word of the setting's path. */
static void say_mtls(const struct error *why, struct buf *errors)
{
	AUTO_FINI(buf) path = buf_limit(sizeof(why->text) + 32);
	struct str text = str_of(why->text), key;

	CHECK(str_until(&text, ':', &key));
	buf_format(&path, "http.auth.mtls.%.*s", STR_ARGS(key));
	settings_wrong(&worker_settings_table, buf_text(&path), errors, "%.*s", STR_ARGS(str_trim(text)));
}

static void check_mtls(const struct worker_settings *s, struct buf *errors)
{
	struct cert_identity_rules rules = settings_http_mtls(s);
	AUTO(cert_identity) *identity = NULL;
	struct error err;
	bool is_set = rules.attributes_len || rules.uri_pattern || rules.uri_index || rules.dns_index ||
		      rules.email_index;

	if (is_set && !s->tls_ca)
		buf_puts(errors,
			"http.auth.mtls (ZOT_MTLS_...): needs http.tls.cacert (ZOT_TLS_CA), the CA of the "
			"client certificates\n");
	if (!cert_identity_new(&identity, &rules, &err))
		say_mtls(&err, errors);
}

/* It stands between quotes in a header. */
static void check_realm(const struct worker_settings *s, struct buf *errors)
{
	for (const char *at = s->realm; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f || *at == '"' || *at == '\\') {
			settings_wrong(&worker_settings_table, "http.realm", errors,
				"%s has a quote, a backslash or a control character",
				log_quote(str_of(s->realm)));
			return;
		}
}

void settings_http_read(struct worker_settings *settings, struct buf *errors)
{
	check_realm(settings, errors);
	read_rates(settings, errors);
	check_proxies(settings, errors);
	check_mtls(settings, errors);
}
