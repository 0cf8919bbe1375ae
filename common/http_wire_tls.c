/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_wire_tls - what connections share under TLS: certificate, key, the CA for the other side, and the rules.
 */
#include <arpa/inet.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/http_tickets.h"
#include "common/http_wire_priv.h"

/* What all clients of these years speak, and what processors are fast at, first: authenticated ciphers and keys of one connection. A
 * client without instructions for AES asks for ChaCha20 first, and gets it. */
#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
#define CIPHERS_1_2                                                                                          \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                         \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"                                         \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#define GROUPS "X25519:P-256:P-384"

#define TICKET_IV 16 /* of AES-256-CBC */
enum { TICKET_FAILED = -1, TICKET_UNKNOWN = 0, TICKET_GOOD = 1, TICKET_RENEW = 2 };

#define NAME_SAID 200 /* bytes of a certificate's subject */

struct http_wire_tls {
	SSL_CTX *context;
	unsigned refs; /* of one loop */
};

const char *http_wire_tls_reason(void)
{
	static _Thread_local char text[160];
	unsigned long code = ERR_peek_last_error();

	if (code == 0)
		return "no reason was given";
	ERR_error_string_n(code, text, sizeof(text));
	return text;
}

static int no_password(char *into, int size, int writing, void *arg)
{
	(void)into;
	(void)size;
	(void)writing;
	(void)arg;
	return 0;
}

static bool use_chain(SSL_CTX *context, const char *pem)
{
	BIO *text = BIO_new_mem_buf(pem, -1);
	X509 *own = text ? PEM_read_bio_X509_AUX(text, NULL, no_password, NULL) : NULL, *next;
	bool ok = own && SSL_CTX_use_certificate(context, own) == 1;

	X509_free(own);
	while (ok && (next = PEM_read_bio_X509(text, NULL, no_password, NULL)))
		ok = SSL_CTX_add0_chain_cert(context, next) == 1;
	BIO_free(text);
	return ok;
}

static bool use_key(SSL_CTX *context, const char *pem)
{
	BIO *text = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = text ? PEM_read_bio_PrivateKey(text, NULL, no_password, NULL) : NULL;
	bool ok = key && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;

	EVP_PKEY_free(key);
	BIO_free(text);
	return ok;
}

/* Of the handshake that it ends. */
static int on_certificate(int ok, X509_STORE_CTX *store)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct http_wire *wire = SSL_get_app_data(ssl);
	const X509 *shown = X509_STORE_CTX_get0_cert(store);
	char name[NAME_SAID] = "", text[NAME_SAID + 128];

	if (ok || wire->refused)
		return ok;
	if (shown)
		(void)X509_NAME_oneline(X509_get_subject_name(shown), name, sizeof(name));
	(void)snprintf(text, sizeof(text), "%s: %s",
		X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)), name);
	wire->refused = check_strdup(text);
	return 0;
}

/* All of them are named to the client and trusted. */
static bool trust_clients_of(SSL_CTX *context, const char *pem)
{
	BIO *text = BIO_new_mem_buf(pem, -1);
	X509 *ca;
	unsigned n = 0;

	while (text && (ca = PEM_read_bio_X509(text, NULL, no_password, NULL))) {
		n += X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca) == 1 &&
		     SSL_CTX_add_client_CA(context, ca) == 1;
		X509_free(ca);
	}
	BIO_free(text);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_certificate);
	return n > 0;
}

/* We speak one protocol; who offers others hears it. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *offered, unsigned offered_len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, offered, offered_len) !=
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* Seals a ticket, or opens one: OpenSSL asks for keys, and does it. */
static int on_ticket(
	SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	struct http_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct http_ticket_key key;
	char digest[] = "SHA256";
	bool old = false;

	if (seal) {
		key = http_tickets_seal(tickets, SSL_version(ssl) == TLS1_3_VERSION, clock_wall_s());
		memcpy(name, key.name, sizeof(key.name));
		random_bytes(iv, TICKET_IV);
	} else if (!http_tickets_open(tickets, name, clock_wall_s(), &key, &old)) {
		return TICKET_UNKNOWN;
	}
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac, sizeof(key.mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()
	};
	bool ok = EVP_MAC_CTX_set_params(mac, params) == 1 &&
		  EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv, seal) == 1;
	OPENSSL_cleanse(&key, sizeof(key));
	return !ok ? TICKET_FAILED : old ? TICKET_RENEW : TICKET_GOOD;
}

/* A ticket holds what its client proved, also its certificate, which the CA of another day might not vouch for: where clients
 * are asked for one, each connection proves anew. A ticket is good with the certificate that it was given with. */
static void give_tickets(SSL_CTX *context, const struct http_tls *texts, struct http_tickets *tickets)
{
	uint8_t session_of[HASH_MAX];

	if (!tickets || texts->client_ca_pem) {
		(void)SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
		(void)SSL_CTX_set_num_tickets(context, 0);
		return;
	}
	hash_bytes(HASH_SHA256, texts->cert_pem, strlen(texts->cert_pem), session_of);
	CHECK(SSL_CTX_set_session_id_context(context, session_of, SSL_MAX_SID_CTX_LENGTH) == 1);
	CHECK(SSL_CTX_set_app_data(context, tickets) == 1);
	CHECK(SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket) == 1);
	(void)SSL_CTX_set_timeout(context, HTTP_TICKET_S);
	(void)SSL_CTX_set_num_tickets(context, 1);
}

static void set_rules(SSL_CTX *context)
{
	(void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	(void)SSL_CTX_set_options(
		context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF |
				 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	CHECK(SSL_CTX_set_ciphersuites(context, CIPHERS_1_3) == 1 &&
		SSL_CTX_set_cipher_list(context, CIPHERS_1_2) == 1 &&
		SSL_CTX_set1_groups_list(context, GROUPS) == 1);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
						SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
}

/* Takes the context; without `ok` it says what is wrong. */
static bool finish(
	struct http_wire_tls **ret_tls, SSL_CTX *context, bool ok, const char *what, struct error *err)
{
	if (!ok) {
		(void)error_set(err, ERROR_INVALID, NULL, "%s: %s", what, http_wire_tls_reason());
		SSL_CTX_free(context);
		ERR_clear_error();
		return false;
	}
	ERR_clear_error();
	*ret_tls = xnew(struct http_wire_tls);
	(*ret_tls)->context = context;
	(*ret_tls)->refs = 1;
	return true;
}

bool http_wire_tls_new(struct http_wire_tls **ret_tls, const struct http_tls *texts,
	struct http_tickets *tickets, struct error *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	CHECK(context);
	ERR_clear_error();
	set_rules(context);
	give_tickets(context, texts, tickets);
	bool ok = use_chain(context, texts->cert_pem) && use_key(context, texts->key_pem) &&
		  (!texts->client_ca_pem || trust_clients_of(context, texts->client_ca_pem));
	return finish(ret_tls, context, ok, "start HTTPS: certificate, key or client CA is not usable", err);
}

/* Ours, towards others. */

static bool trust_servers_of(SSL_CTX *context, const char *ca_file)
{
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (!ca_file)
		return SSL_CTX_set_default_verify_paths(context) == 1;
	return SSL_CTX_load_verify_file(context, ca_file) == 1;
}

static bool use_files(SSL_CTX *context, const struct http_wire_trust *trust)
{
	SSL_CTX_set_default_passwd_cb(context, no_password);
	if (!trust->cert_file)
		return true;
	return SSL_CTX_use_certificate_chain_file(context, trust->cert_file) == 1 &&
	       SSL_CTX_use_PrivateKey_file(
		       context, trust->key_file ? trust->key_file : trust->cert_file, SSL_FILETYPE_PEM) == 1;
}

bool http_wire_tls_client(
	struct http_wire_tls **ret_tls, const struct http_wire_trust *trust, struct error *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	CHECK(context);
	ERR_clear_error();
	set_rules(context);
	(void)SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	bool ok = trust_servers_of(context, trust->ca_file) && use_files(context, trust);
	return finish(ret_tls, context, ok, "CA, certificate or key towards members is not usable", err);
}

static bool is_address(const char *host)
{
	struct in6_addr any;

	return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

SSL *http_wire_tls_dial(struct http_wire_tls *tls, const char *host)
{
	static const unsigned char ours[] = "\x08http/1.1";
	SSL *ssl = SSL_new(tls->context);

	CHECK(ssl);
	if (is_address(host)) {
		CHECK(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1);
	} else {
		CHECK(SSL_set1_host(ssl, host) == 1);
		/* SSL_set_tlsext_host_name() without its cast, which takes the const away. */
		CHECK(SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
			      (void *)(uintptr_t)host) == 1);
	}
	CHECK(SSL_set_alpn_protos(ssl, ours, sizeof(ours) - 1) == 0);
	SSL_set_connect_state(ssl);
	return ssl;
}

int64_t http_wire_tls_end_s(const struct http_wire_tls *tls)
{
	X509 *own = SSL_CTX_get0_certificate(tls->context);
	struct tm end;

	return own && ASN1_TIME_to_tm(X509_get0_notAfter(own), &end) == 1 ? timegm(&end) : 0;
}

void http_wire_tls_free(struct http_wire_tls *tls)
{
	if (!tls || --tls->refs > 0)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}

SSL *http_wire_tls_begin(struct http_wire_tls *tls)
{
	SSL *ssl = SSL_new(tls->context);

	CHECK(ssl);
	SSL_set_accept_state(ssl);
	return ssl;
}

void http_wire_tls_ref(struct http_wire_tls *tls)
{
	tls->refs++;
}
