/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_crypto - published vectors, and what threads and repeated use must not change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/crypto.h"

static void expect_hash(enum hash_kind kind, const char *text, const char *hex)
{
	uint8_t out[HASH_MAX];
	char got[2 * HASH_MAX + 1];

	hash_bytes(kind, text, strlen(text), out);
	str_hex(out, hash_size(kind), got);
	assert_string_equal(got, hex);
}

static void test_hash_vectors(void **state)
{
	(void)state;
	expect_hash(HASH_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	expect_hash(HASH_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	expect_hash(HASH_SHA512, "abc",
		"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
	expect_hash(HASH_MD5, "abc", "900150983cd24fb0d6963f7d28e17f72");
	expect_hash(HASH_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_hasher_goes_on_after_a_result(void **state)
{
	AUTO(hasher) *hasher = hasher_new(HASH_SHA256);
	uint8_t early[HASH_MAX], late[HASH_MAX], again[HASH_MAX], whole[HASH_MAX];

	(void)state;
	hasher_add(hasher, "ab", 2);
	hasher_add(hasher, NULL, 0);
	hasher_result(hasher, early);
	hasher_add(hasher, "c", 1);
	hasher_result(hasher, late);
	hasher_result(hasher, again);
	hash_bytes(HASH_SHA256, "ab", 2, whole);
	assert_memory_equal(early, whole, 32);
	hash_bytes(HASH_SHA256, "abc", 3, whole);
	assert_memory_equal(late, whole, 32);
	assert_memory_equal(again, whole, 32);
	hasher_free(NULL);
}

static void expect_hmac(struct str key, struct str message, const char *hex)
{
	uint8_t out[32];
	char got[65];

	hmac_sha256(key, message, out);
	str_hex(out, sizeof(out), got);
	assert_string_equal(got, hex);
}

static void test_hmac_rfc4231(void **state)
{
	char key[131], data[50];

	(void)state;
	memset(key, 0x0b, 20);
	expect_hmac(str_from(key, 20), STR("Hi There"),
		"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	expect_hmac(STR("Jefe"), STR("what do ya want for nothing?"),
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	memset(data, 0xdd, sizeof(data));
	expect_hmac(str_from(key, 20), str_from(data, 50),
		"773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	expect_hmac(str_from(key, 131), STR("Test Using Larger Than Block-Size Key - Hash Key First"),
		"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	expect_hmac(STR_NONE, STR_NONE, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* A thread keeps the key of before. */
static void test_hmac_keys_in_turn(void **state)
{
	const char *jefe = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
	const char *none = "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
	char large[131];

	(void)state;
	memset(large, 0xaa, sizeof(large));
	for (int i = 0; i < 3; i++) {
		expect_hmac(STR("Jefe"), STR("what do ya want for nothing?"), jefe);
		expect_hmac(STR("Jefe"), STR("what do ya want for nothing?"), jefe);
		expect_hmac(STR_NONE, STR_NONE, none);
		expect_hmac(STR_NONE, STR_NONE, none);
		expect_hmac(STR("Jefe"), STR("what do ya want for nothing?"), jefe);
		expect_hmac(str_from(large, 131),
			STR("Test Using Larger Than Block-Size Key - Hash Key First"),
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
		expect_hmac(STR("jefe"), STR("what do ya want for nothing?"),
			"f5886a2776d40a671830efd161726e21b7dbd9f0d3a5515428de35324eacaadb");
	}
}

static uint64_t lorem(const char *text)
{
	return siphash24((const uint8_t *)"loremipsumdolors", text, strlen(text));
}

static void test_siphash_vectors(void **state)
{
	uint8_t key[16], message[15];

	(void)state;
	for (uint8_t i = 0; i < sizeof(key); i++)
		key[i] = i;
	for (uint8_t i = 0; i < sizeof(message); i++)
		message[i] = i;
	assert_true(siphash24(key, message, sizeof(message)) == 0xa129ca6149be45e5u);
	assert_true(siphash24(key, NULL, 0) == 0x726fdb47dd0e0e31u);
	assert_true(lorem("zot-test") == 0x7f5537bdf3ddf6a1u);
	assert_true(lorem("debian") == 0x7837d8d7081e5d07u);
	assert_true(siphash24(key, message, sizeof(message)) == 0xa129ca6149be45e5u);
	assert_true(lorem("alpine") == 0xea6f74aab8ac0b9bu);
	assert_true(lorem("ubuntu") == 0x67afdd258a3a46b6u);
	assert_true(lorem("library/nginx") == 0x03577f4e2fd4ef51u);
}

static void *hash_in_thread(void *arg)
{
	bool *good = arg;

	*good = true;
	for (int i = 0; i < 200; i++)
		*good = *good && lorem("debian") == 0x7837d8d7081e5d07u;
	return NULL;
}

static void test_siphash_in_threads(void **state)
{
	pthread_t threads[4];
	bool good[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hash_in_thread, &good[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_true(good[i]);
	}
}

static void test_random(void **state)
{
	char a[2 * 40 + 1], b[2 * 40 + 1];
	unsigned seen[3] = { 0 };

	(void)state;
	random_hex(a, 40);
	random_hex(b, 40);
	assert_int_equal(strlen(a), 80);
	assert_string_not_equal(a, b);
	random_hex(a, 0);
	assert_string_equal(a, "");
	for (int i = 0; i < 300; i++)
		seen[random_below(3)]++;
	assert_true(seen[0] && seen[1] && seen[2]);
	assert_true(random_below(1) == 0);
	assert_true(equal_secret("abc", "abc", 3) && !equal_secret("abc", "abd", 3));
}

#define IDS       1000 /* more than a thread has ready at a time */
#define ID_BYTES  16
#define IDS_TAKEN (4 * IDS)

static void *take_ids(void *arg)
{
	uint8_t(*ids)[ID_BYTES] = arg;

	for (int i = 0; i < IDS; i++)
		random_bytes(ids[i], ID_BYTES);
	return NULL;
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, ID_BYTES);
}

static void test_no_random_bytes_are_given_twice(void **state)
{
	static uint8_t ids[IDS_TAKEN][ID_BYTES];
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_ids, ids[i * IDS]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	qsort(ids, IDS_TAKEN, ID_BYTES, compare_ids);
	for (int i = 1; i < IDS_TAKEN; i++)
		assert_int_not_equal(compare_ids(ids[i - 1], ids[i]), 0);
}

static void test_a_child_is_given_others(void **state)
{
	uint8_t ours[ID_BYTES], theirs[ID_BYTES];
	int ends[2];
	pid_t child;

	(void)state;
	random_bytes(ours, sizeof(ours));
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		random_bytes(theirs, sizeof(theirs));
		_exit(write(ends[1], theirs, sizeof(theirs)) != sizeof(theirs));
	}
	random_bytes(ours, sizeof(ours));
	assert_int_equal(read(ends[0], theirs, sizeof(theirs)), sizeof(theirs));
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_memory_not_equal(ours, theirs, sizeof(ours));
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* NIST's test vectors of GCM (gcmEncryptExtIV256, 128 bits of each), and one of RFC 7914's kind by Python's hashlib. */
static void test_seal_vector(void **state)
{
	uint8_t key[32], nonce[12], open[16], plain[16], wanted[32];
	AUTO_FINI(buf) sealed = buf_limit(1024);
	AUTO_FINI(buf) opened = buf_limit(1024);

	(void)state;
	assert_true(
		str_unhex(STR("92e11dcdaa866f5ce790fd24501f92509aacf4cb8b1339d50c9c1240935dd08b"), key, 32));
	assert_true(str_unhex(STR("ac93a1a6145299bde902f21a"), nonce, 12));
	assert_true(str_unhex(STR("2d71bcfa914e4ac045b2aa60955fad24"), plain, 16));
	assert_true(str_unhex(STR("1e0889016f67601c8ebea4943bc23ad6"), open, 16));
	assert_true(str_unhex(
		STR("8995ae2e6df3dbf96fac7b7137bae67feca5aa77d51d4a0a14d9c51e1da474ab"), wanted, 32));
	crypto_seal(key, nonce, str_from(open, 16), str_from(plain, 16), &sealed);
	assert_int_equal(sealed.len, 32);
	assert_memory_equal(sealed.at, wanted, 32);
	assert_true(crypto_unseal(key, nonce, str_from(open, 16), buf_str(&sealed), &opened));
	assert_true(str_equal(buf_str(&opened), str_from(plain, 16)));
	open[0] ^= 1;
	assert_false(crypto_unseal(key, nonce, str_from(open, 16), buf_str(&sealed), &opened));
	assert_false(crypto_unseal(key, nonce, str_from(open, 16), str_from(sealed.at, 15), &opened));
	assert_int_equal(opened.len, 16);
}

static void test_key_of_passphrase(void **state)
{
	const uint8_t salt[CRYPTO_SALT] = "0123456789abcdef";
	uint8_t a[32], b[32], wanted[32];

	(void)state;
	crypto_key_of(STR("a passphrase of many words"), salt, a);
	crypto_key_of(STR("a passphrase of many wordz"), salt, b);
	assert_memory_not_equal(a, b, 32);
	assert_true(str_unhex(
		STR("0baf702c3d1584d74835af683960e7b869c1d58430d278c4b111d5b12a8a5fd1"), wanted, 32));
	assert_memory_equal(a, wanted, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_vectors),
		cmocka_unit_test(test_hasher_goes_on_after_a_result),
		cmocka_unit_test(test_hmac_rfc4231),
		cmocka_unit_test(test_hmac_keys_in_turn),
		cmocka_unit_test(test_siphash_vectors),
		cmocka_unit_test(test_siphash_in_threads),
		cmocka_unit_test(test_seal_vector),
		cmocka_unit_test(test_key_of_passphrase),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_no_random_bytes_are_given_twice),
		cmocka_unit_test(test_a_child_is_given_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
