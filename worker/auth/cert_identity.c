/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/auth/cert_identity.h"

#include <regex.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/certificate.h"
#include "common/check.h"
#include "common/log.h"

#define URI_MAX         2048
#define REPETITIONS_MAX 1000u

static const struct {
	const char *name;
	enum certificate_name kind;
} attributes[] = {
	{ "CommonName", CERTIFICATE_COMMON_NAME },
	{ "CN", CERTIFICATE_COMMON_NAME },
	{ "Subject", CERTIFICATE_SUBJECT },
	{ "DN", CERTIFICATE_SUBJECT },
	{ "Email", CERTIFICATE_EMAIL },
	{ "rfc822name", CERTIFICATE_EMAIL },
	{ "URI", CERTIFICATE_URI },
	{ "URL", CERTIFICATE_URI },
	{ "DNSName", CERTIFICATE_DNS },
	{ "DNS", CERTIFICATE_DNS },
};

struct cert_identity {
	enum certificate_name kinds[CERT_ATTRIBUTES_MAX];
	size_t kinds_len;
	size_t index[CERTIFICATE_DNS + 1];
	bool has_pattern;
	regex_t pattern;
};

void cert_identity_free(struct cert_identity *identity)
{
	if (!identity)
		return;
	if (identity->has_pattern)
		regfree(&identity->pattern);
	free(identity);
}

/* Rules. */

static bool add_attribute(struct cert_identity *identity, const char *name, struct error *err)
{
	if (identity->kinds_len == CERT_ATTRIBUTES_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL, "identityAttributes: at most %d are allowed",
			CERT_ATTRIBUTES_MAX);
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		if (!str_is_nocase(str_of(name), attributes[i].name))
			continue;
		identity->kinds[identity->kinds_len++] = attributes[i].kind;
		return true;
	}
	return error_set(err, ERROR_INVALID, NULL,
		"identityAttributes: %s is unknown; allowed are CommonName (CN), Subject (DN), Email "
		"(rfc822name), URI (URL), DNSName (DNS)",
		log_quote(str_of(name)));
}

/* "{2,5}" and the like make a pattern so many times larger; *product is over all of them, as if they were
 * nested. */
static void count_repetition(const char *at, uint64_t *product)
{
	struct str rest = str_of(at);
	uint64_t most = 1, n;

	(void)str_skip(&rest, "{");
	while (str_number(&rest, UINT32_MAX, &n)) {
		most = n > most ? n : most;
		(void)str_skip(&rest, ",");
	}
	*product = *product * most < REPETITIONS_MAX + 1 ? *product * most : REPETITIONS_MAX + 1;
}

/* What the two dialects read differently, or what would grow too large; NULL when there is nothing. */
static const char *foreign_part(const char *pattern)
{
	uint64_t repetitions = 1;
	bool bracket = false;

	for (const char *at = pattern; *at; at++) {
		if (bracket && *at == '\\')
			return "a backslash in brackets; a member of [...] stands there as it is";
		if (*at == '[' && !bracket)
			bracket = true;
		else if (*at == ']' && bracket)
			bracket = false;
		if (bracket)
			continue;
		if (*at == '\\' && at[1] && strchr("dDpPQEAzxCKG123456789<>`'", *++at))
			return "an escape that is not served; write [0-9] for \\d";
		if (*at == '{')
			count_repetition(at, &repetitions);
		if (repetitions > REPETITIONS_MAX)
			return "repetitions {n} of more than 1000 together";
		if (*at == '(' && at[1] == '?')
			return "\"(?\"; only plain groups are served";
		if (strchr("*+?}", *at) && at[1] == '?')
			return "a lazy repetition; write [^/]* for .*?";
	}
	return NULL;
}

static bool set_pattern(struct cert_identity *identity, const char *pattern, struct error *err)
{
	const char *foreign = foreign_part(pattern);
	char why[100];
	int failed;

	if (strlen(pattern) > CERT_PATTERN_MAX)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "uriSanPattern: is over %d bytes", CERT_PATTERN_MAX);
	if (foreign)
		return error_set(err, ERROR_INVALID, NULL, "uriSanPattern: has %s", foreign);
	failed = regcomp(&identity->pattern, pattern, REG_EXTENDED);
	if (failed) {
		(void)regerror(failed, &identity->pattern, why, sizeof(why));
		return error_set(err, ERROR_INVALID, NULL,
			"uriSanPattern: %s is no POSIX extended regular expression: %s",
			log_quote(str_of(pattern)), why);
	}
	identity->has_pattern = true;
	return true;
}

static bool has_kind(const struct cert_identity *identity, enum certificate_name kind)
{
	for (size_t i = 0; i < identity->kinds_len; i++)
		if (identity->kinds[i] == kind)
			return true;
	return false;
}

static bool set_index(struct cert_identity *identity, enum certificate_name kind, int64_t index,
	const char *key, const char *attribute, struct error *err)
{
	if (index && !has_kind(identity, kind))
		return error_set(
			err, ERROR_INVALID, NULL, "%s: needs %s among identityAttributes", key, attribute);
	identity->index[kind] = (size_t)index;
	return true;
}

bool cert_identity_new(
	struct cert_identity **ret_identity, const struct cert_identity_rules *rules, struct error *err)
{
	AUTO(cert_identity) *identity = xnew(struct cert_identity);

	for (size_t i = 0; i < rules->attributes_len; i++)
		if (!add_attribute(identity, rules->attributes[i], err))
			return false;
	if (!rules->attributes_len)
		identity->kinds[identity->kinds_len++] = CERTIFICATE_COMMON_NAME;
	if (rules->uri_pattern && !has_kind(identity, CERTIFICATE_URI))
		return error_set(
			err, ERROR_INVALID, NULL, "uriSanPattern: needs URI among identityAttributes");
	if ((rules->uri_pattern && !set_pattern(identity, rules->uri_pattern, err)) ||
		!set_index(identity, CERTIFICATE_URI, rules->uri_index, "uriSanIndex", "URI", err) ||
		!set_index(identity, CERTIFICATE_DNS, rules->dns_index, "dnsSanIndex", "DNSName", err) ||
		!set_index(identity, CERTIFICATE_EMAIL, rules->email_index, "emailSanIndex", "Email", err))
		return false;
	*ret_identity = TAKE(identity);
	return true;
}

/* Finding. */

/* What the pattern leaves of a URI; false when it does not match. */
static bool cut_uri(const struct cert_identity *identity, const char *uri, struct str *ret)
{
	regmatch_t match[2];
	const regmatch_t *part = identity->pattern.re_nsub ? &match[1] : &match[0];

	if (regexec(&identity->pattern, uri, 2, match, 0) != 0 || part->rm_so < 0)
		return false;
	*ret = str_from(uri + part->rm_so, (size_t)(part->rm_eo - part->rm_so));
	return true;
}

static bool find_one(const struct cert_identity *identity, const struct certificate *certificate,
	enum certificate_name kind, char into[CERT_IDENTITY_MAX + 1])
{
	AUTO_FINI(buf) name = buf_limit(URI_MAX);
	struct str user;

	if (!certificate_name(certificate, kind, identity->index[kind], &name))
		return false;
	user = buf_str(&name);
	if (kind == CERTIFICATE_URI && identity->has_pattern && !cut_uri(identity, buf_text(&name), &user))
		return false;
	return user.len && str_copy(user, into, CERT_IDENTITY_MAX + 1);
}

bool cert_identity_find(
	const struct cert_identity *identity, struct str der, char into[CERT_IDENTITY_MAX + 1])
{
	AUTO(certificate) *certificate = NULL;

	if (!certificate_parse(&certificate, der, NULL))
		return false;
	for (size_t i = 0; i < identity->kinds_len; i++)
		if (find_one(identity, certificate, identity->kinds[i], into))
			return true;
	return false;
}
