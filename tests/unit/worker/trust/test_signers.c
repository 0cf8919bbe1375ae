/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_signers - signatures as cosign and notation make them prove what they were made for, by the keys that are there; spoiled in each place, nothing.
 */
#include "tests/unit/signing.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "proto/base64url.h"
#include "proto/trust_key.h"
#include "worker/trust/signers.h"

#define TARGET "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define HEX    "1111111111111111111111111111111111111111111111111111111111111111"
#define PAYLOAD(type, image)                                                                                 \
	"{\"critical\":{\"identity\":{\"docker-reference\":\"x\"},\"image\":{" image "},\"type\":\"" type    \
	"\"},\"optional\":null}"
#define IMAGE_TYPE "cosign container image signature"
#define GOOD       PAYLOAD(IMAGE_TYPE, "\"docker-manifest-digest\":\"" TARGET "\"")

static struct state *with_key(struct state *before, enum trust_type type, struct str pem)
{
	AUTO(entity) *key = NULL;
	struct state *after;

	assert_true(trust_key_new(type, pem, &key, NULL));
	after = state_change(before, &key, 1, state_revision(before) + 1);
	state_free(before);
	return after;
}

static struct signers *signers_of(EVP_PKEY *key, EVP_PKEY *more)
{
	AUTO_FINI(buf) pem = buf_limit(4096);
	AUTO_FINI(buf) other = buf_limit(4096);
	AUTO(state) *state = state_new();

	signing_pem_of(key, &pem);
	state = with_key(state, TRUST_COSIGN, buf_str(&pem));
	if (more) {
		signing_pem_of(more, &other);
		state = with_key(state, TRUST_COSIGN, buf_str(&other));
	}
	return signers_new(state, SIGNERS_BY_COSIGN);
}

static bool is_target(const struct signers_verdict *verdict)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(&verdict->target, text);
	return !strcmp(text, TARGET);
}

/* ---- cosign ---- */

static bool cosign(const struct signers *signers, EVP_PKEY *key, const char *payload, struct error *err)
{
	AUTO_FINI(buf) base64 = buf_limit(4096);
	struct signing_der made =
		signing_sign(key, EVP_PKEY_is_a(key, "ED25519") ? NULL : "SHA256", false, str_of(payload));
	AUTO_FINI(signers_verdict) verdict = { .from_ms = 0 };
	AUTO_FINI(buf) pem = buf_limit(4096);

	buf_base64(&base64, made.at, made.len);
	if (!signers_cosign(signers, str_of(payload), buf_str(&base64), &verdict, err))
		return false;
	signing_pem_of(key, &pem);
	assert_true(is_target(&verdict) && str_equal(buf_str(&verdict.author), buf_str(&pem)));
	assert_int_equal(verdict.until_ms, 0);
	return true;
}

static void a_payload_by_each_kind_of_key(void **state)
{
	static const char *const kinds[] = { "P-256", "P-384", "rsa2048", "ed25519" };
	EVP_PKEY *stranger = signing_key("P-256");
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		EVP_PKEY *key = signing_key(kinds[i]), *more = signing_key("P-256");
		AUTO(signers) *signers = signers_of(more, key);

		assert_true(signers_has(signers, SIGNERS_BY_COSIGN) &&
			    !signers_has(signers, SIGNERS_BY_NOTATION));
		assert_true(cosign(signers, key, GOOD, &err) && cosign(signers, more, GOOD, &err));
		assert_false(cosign(signers, stranger, GOOD, &err));
		assert_non_null(strstr(err.text, "no key"));
		EVP_PKEY_free(key);
		EVP_PKEY_free(more);
	}
	EVP_PKEY_free(stranger);
}

static void a_payload_that_is_none(void **state)
{
	static const char *const payloads[] = { "", "{}", "junk", "[]",
		PAYLOAD("other", "\"docker-manifest-digest\":\"" TARGET "\""), PAYLOAD(IMAGE_TYPE, ""),
		PAYLOAD(IMAGE_TYPE, "\"docker-manifest-digest\":\"sha256:11\""),
		PAYLOAD(IMAGE_TYPE, "\"docker-manifest-digest\":1") };
	EVP_PKEY *key = signing_key("P-256");
	AUTO(signers) *signers = signers_of(key, NULL);
	struct signers_verdict verdict;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++)
		assert_false(cosign(signers, key, payloads[i], &err));
	assert_false(signers_cosign(signers, STR(GOOD), STR("not base64!"), &verdict, &err));
	assert_false(signers_cosign(signers, STR(GOOD), STR(""), &verdict, &err));
	assert_false(signers_cosign(signers, STR(GOOD), STR_NONE, &verdict, &err));
	EVP_PKEY_free(key);
}

/* ---- bundles ---- */

#define STATEMENT(predicate, subjects)                                                                       \
	"{\"_type\":\"https://in-toto.io/Statement/v1\",\"predicateType\":\"" predicate                      \
	"\",\"subject\":[" subjects "],\"predicate\":{}}"
#define SIGN    "https://sigstore.dev/cosign/sign/v1"
#define SUBJECT "{\"digest\":{\"sha256\":\"" HEX "\"}}"

static bool bundle(
	EVP_PKEY *key, const char *type, const char *statement, const char *format, struct error *err)
{
	AUTO(signers) *signers = signers_of(key, NULL);
	AUTO_FINI(buf) message = buf_limit(65536);
	AUTO_FINI(buf) payload = buf_limit(65536);
	AUTO_FINI(buf) base64 = buf_limit(4096);
	AUTO_FINI(buf) text = buf_limit(65536);
	AUTO_FINI(signers_verdict) verdict = { .from_ms = 0 };
	struct signing_der made;

	buf_format(&message, "DSSEv1 %zu %s %zu %s", strlen(type), type, strlen(statement), statement);
	made = signing_sign(key, "SHA256", false, buf_str(&message));
	buf_base64(&payload, statement, strlen(statement));
	buf_base64(&base64, made.at, made.len);
	buf_format(&text, "{\"dsseEnvelope\":{\"payload\":\"%s\",\"payloadType\":\"%s\",\"signatures\":[",
		buf_text(&payload), type);
	buf_puts(&text, format);
	buf_format(&text, "{\"sig\":\"%s\"}]}}", buf_text(&base64));
	return signers_bundle(signers, buf_str(&text), &verdict, err) && is_target(&verdict) &&
	       verdict.author.len;
}

static void bundles(void **state)
{
	static const char type[] = "application/vnd.in-toto+json";
	static const char *const bad[] = { "junk", "{}", STATEMENT("https://spdx.dev/Document", SUBJECT),
		STATEMENT(SIGN, ""), STATEMENT(SIGN, SUBJECT "," SUBJECT),
		STATEMENT(SIGN, "{\"digest\":{\"sha512\":\"" HEX "\"}}"), STATEMENT(SIGN, "1") };
	EVP_PKEY *key = signing_key("P-256");
	AUTO(signers) *signers = signers_of(key, NULL);
	struct signers_verdict verdict;
	struct error err;

	(void)state;
	assert_true(bundle(key, type, STATEMENT(SIGN, SUBJECT), "", &err));
	assert_true(bundle(key, type, STATEMENT(SIGN, SUBJECT), "{\"sig\":\"AAAA\"},", &err));
	assert_false(bundle(key, "text/plain", STATEMENT(SIGN, SUBJECT), "", &err));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(bundle(key, type, bad[i], "", &err));
	assert_false(signers_bundle(signers, STR("{}"), &verdict, &err));
	assert_false(signers_bundle(signers,
		STR("{\"dsseEnvelope\":{\"payloadType\":\"application/vnd.in-toto+json\"}}"), &verdict,
		&err));
	EVP_PKEY_free(key);
}

/* ---- notation ---- */

#define SCHEME "\"io.cncf.notary.signingScheme\":\"notary.x509\""
#define HEADER(alg, crit, more)                                                                              \
	"{\"alg\":\"" alg "\",\"cty\":\"application/vnd.cncf.notary.payload.v1+json\",\"crit\":[" crit       \
	"]," more "}"
#define CRIT     "\"io.cncf.notary.signingScheme\""
#define EXPIRY   "\"io.cncf.notary.expiry\""
#define SIGNED   "\"io.cncf.notary.authenticSigningTime\""
#define ARTIFACT "{\"targetArtifact\":{\"mediaType\":\"x\",\"digest\":\"" TARGET "\",\"size\":7}}"

struct notary {
	EVP_PKEY *key, *root_key;
	struct signing_der leaf, root;
	struct signers *signers; /* the root, as a CA */
	const char *payload;
};

static void put_base64url(struct buf *into, const char *bytes, size_t len)
{
	char text[16384];

	assert_true(BASE64URL_LEN(len) < sizeof(text));
	base64url_encode(str_from(bytes, len), text);
	buf_puts(into, text);
}

static void write_envelope(
	const struct notary *notary, const char *header, const char *digest, struct buf *into)
{
	AUTO_FINI(buf) h = buf_limit(16384);
	AUTO_FINI(buf) p = buf_limit(16384);
	AUTO_FINI(buf) s = buf_limit(16384);
	AUTO_FINI(buf) one = buf_limit(16384);
	AUTO_FINI(buf) two = buf_limit(16384);
	AUTO_FINI(buf) message = buf_limit(65536);
	struct signing_der made;

	put_base64url(&h, header, strlen(header));
	put_base64url(&p, notary->payload, strlen(notary->payload));
	buf_format(&message, "%s.%s", buf_text(&h), buf_text(&p));
	made = signing_sign(notary->key, digest, true, buf_str(&message));
	put_base64url(&s, (const char *)made.at, made.len);
	buf_base64(&one, notary->leaf.at, notary->leaf.len);
	buf_base64(&two, notary->root.at, notary->root.len);
	buf_format(into,
		"{\"payload\":\"%s\",\"protected\":\"%s\",\"header\":{\"x5c\":[\"%s\",\"%s\"]},\"signature\":"
		"\"%s\"}",
		buf_text(&p), buf_text(&h), buf_text(&one), buf_text(&two), buf_text(&s));
}

static bool notation(
	const struct notary *notary, const char *header, struct signers_verdict *verdict, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(65536);

	write_envelope(notary, header, "SHA256", &text);
	return signers_notation(notary->signers, STR("application/jose+json"), buf_str(&text), verdict, err);
}

static struct signers *trusting(enum trust_type type, const struct signing_der *der)
{
	AUTO(state) *state = state_new();
	AUTO_FINI(buf) pem = buf_limit(TRUST_PEM_MAX);

	assert_true(signers_read_upload(false, signing_str(der), &pem, NULL));
	state = with_key(state, type, buf_str(&pem));
	return signers_new(state, SIGNERS_BY_COSIGN | SIGNERS_BY_NOTATION);
}

static void notary_init(struct notary *notary)
{
	*notary = (struct notary){
		.key = signing_key("P-256"), .root_key = signing_key("P-384"), .payload = ARTIFACT
	};
	notary->root = signing_certificate(
		&(struct signing_wish){ .subject = "root", .key = notary->root_key, SIGNING_CA });
	notary->leaf = signing_certificate(&(struct signing_wish){ .subject = "signer",
		.issuer = "root",
		.key = notary->key,
		.by = notary->root_key,
		SIGNING_LEAF });
	notary->signers = trusting(TRUST_CA, &notary->root);
}

static void notary_fini(struct notary *notary)
{
	EVP_PKEY_free(notary->key);
	EVP_PKEY_free(notary->root_key);
	signers_free(notary->signers);
}

static void an_envelope(void **state)
{
	AUTO_FINI(notary) notary;
	AUTO_FINI(signers_verdict) verdict = { .from_ms = 0 };
	AUTO_FINI(signers_verdict) dated = { .from_ms = 0 };

	(void)state;
	notary_init(&notary);
	assert_true(notation(&notary, HEADER("ES256", CRIT, SCHEME), &verdict, NULL));
	assert_true(is_target(&verdict));
	assert_string_equal(buf_text(&verdict.author), "CN=signer,O=acme");
	assert_true(verdict.from_ms < clock_wall_ms() && verdict.until_ms > clock_wall_ms());
	assert_true(notation(&notary,
		HEADER("ES256", CRIT "," EXPIRY, SCHEME "," EXPIRY ":\"2026-01-02T00:00:00Z\""), &dated,
		NULL));
	assert_int_equal(dated.until_ms, INT64_C(1767312000000));
}

static void an_envelope_that_proves_nothing(void **state)
{
	static const struct {
		const char *header, *why;
	} bad[] = {
		{ HEADER("ES384", CRIT, SCHEME), "ES256" },
		{ HEADER("none", CRIT, SCHEME), "ES256" },
		{ HEADER("ES256", "", SCHEME), "crit" },
		{ HEADER("ES256", CRIT ",\"x\"", SCHEME), "not known" },
		{ HEADER("ES256", CRIT "," EXPIRY, SCHEME), "crit" },
		{ HEADER("ES256", CRIT, SCHEME "," EXPIRY ":\"2126-01-02T00:00:00Z\""), "crit" },
		{ HEADER("ES256", CRIT "," EXPIRY, SCHEME "," EXPIRY ":\"soon\""), "expiry" },
		{ HEADER("ES256", CRIT, "\"io.cncf.notary.signingScheme\":\"other\""), "scheme" },
		{ HEADER("ES256", CRIT "," SIGNED,
			  "\"io.cncf.notary.signingScheme\":\"notary.x509.signingAuthority\"," SIGNED
			  ":\"2026-01-02T00:00:00Z\""),
			"signingAuthority" },
		{ "{\"alg\":\"ES256\"}", "cty" },
		{ "junk", "" },
	};
	AUTO_FINI(notary) notary;
	struct signers_verdict verdict;
	struct error err;

	(void)state;
	notary_init(&notary);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(notation(&notary, bad[i].header, &verdict, &err));
		if (!strstr(err.text, bad[i].why))
			fail_msg("\"%s\" is not in \"%s\" of %zu", bad[i].why, err.text, i);
	}
	notary.payload = "{\"targetArtifact\":{}}";
	assert_false(notation(&notary, HEADER("ES256", CRIT, SCHEME), &verdict, &err));
	notary.payload = ARTIFACT;
	signers_free(notary.signers);
	notary.signers = trusting(TRUST_SIGNING_AUTHORITY, &notary.root);
	assert_false(notation(&notary, HEADER("ES256", CRIT, SCHEME), &verdict, &err));
	assert_non_null(strstr(err.text, "uploaded as ca"));
	/* Another's certificate beside the signature. */
	signers_free(notary.signers);
	notary.signers = trusting(TRUST_CA, &notary.root);
	EVP_PKEY_free(notary.key);
	notary.key = signing_key("P-256");
	assert_false(notation(&notary, HEADER("ES256", CRIT, SCHEME), &verdict, &err));
	assert_non_null(strstr(err.text, "not by the certificate's key"));
}

static void a_signing_authority(void **state)
{
	AUTO_FINI(notary) notary;
	AUTO_FINI(signers_verdict) verdict = { .from_ms = 0 };
	AUTO_FINI(buf) header = buf_limit(4096);
	char now[CLOCK_RFC3339_SIZE];
	struct signers_verdict ignored;
	struct error err;

	(void)state;
	notary_init(&notary);
	signers_free(notary.signers);
	notary.signers = trusting(TRUST_SIGNING_AUTHORITY, &notary.root);
	clock_rfc3339(clock_wall_ms(), now);
	buf_format(&header,
		HEADER("ES256", CRIT "," SIGNED,
			"\"io.cncf.notary.signingScheme\":\"notary.x509.signingAuthority\"," SIGNED
			":\"%s\""),
		now);
	assert_true(notation(&notary, buf_text(&header), &verdict, NULL));
	assert_false(notation(&notary,
		HEADER("ES256", CRIT "," SIGNED,
			"\"io.cncf.notary.signingScheme\":\"notary.x509.signingAuthority\"," SIGNED
			":\"2020-01-02T00:00:00Z\""),
		&ignored, &err));
	assert_non_null(strstr(err.text, "not valid"));
}

static void other_envelopes(void **state)
{
	static const char *const texts[] = { "", "{}", "junk",
		"{\"payload\":\"x\",\"protected\":\"y\",\"signature\":\"z\"}",
		"{\"payload\":\"x\",\"protected\":\"y\",\"signature\":\"z\",\"header\":{\"x5c\":[]}}",
		"{\"payload\":\"x\",\"protected\":\"y\",\"signature\":\"z\",\"header\":{\"x5c\":[\"AAAA\"]}}",
		"{\"payload\":\"x\",\"protected\":\"y\",\"signature\":\"z\",\"header\":{\"x5c\":[1]}}" };
	AUTO(state) *none = state_new();
	AUTO(signers) *signers = signers_new(none, SIGNERS_BY_NOTATION);
	struct signers_verdict verdict;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_false(signers_notation(
			signers, STR("application/jose+json"), str_of(texts[i]), &verdict, &err));
	assert_false(signers_notation(signers, STR("application/cose"), STR("x"), &verdict, &err));
	assert_non_null(strstr(err.text, "COSE"));
	assert_false(signers_notation(signers, STR("text/plain"), STR("x"), &verdict, &err));
}

/* ---- the keys ---- */

static void other_keys_are_another_stamp(void **state)
{
	EVP_PKEY *one = signing_key("P-256"), *two = signing_key("P-256");
	AUTO(signers) *a = signers_of(one, two);
	AUTO(signers) *b = signers_of(two, one);
	AUTO(signers) *c = signers_of(one, NULL);
	AUTO(state) *broken = state_new();
	AUTO(signers) *skipped = NULL;

	(void)state;
	assert_true(signers_stamp(a) == signers_stamp(b) && signers_stamp(a) != signers_stamp(c) &&
		    signers_stamp(a) > 0);
	broken = with_key(
		broken, TRUST_COSIGN, STR("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
	skipped = signers_new(broken, SIGNERS_BY_COSIGN);
	assert_int_equal(signers_skipped(skipped), 1);
	assert_false(signers_has(skipped, SIGNERS_BY_COSIGN | SIGNERS_BY_NOTATION));
	EVP_PKEY_free(one);
	EVP_PKEY_free(two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_payload_by_each_kind_of_key),
		cmocka_unit_test(a_payload_that_is_none),
		cmocka_unit_test(bundles),
		cmocka_unit_test(an_envelope),
		cmocka_unit_test(an_envelope_that_proves_nothing),
		cmocka_unit_test(a_signing_authority),
		cmocka_unit_test(other_envelopes),
		cmocka_unit_test(other_keys_are_another_stamp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
