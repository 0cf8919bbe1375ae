/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_wire_tls - what the connections of a server share under TLS: certificate, key, the clients' CA, and the rules.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/http_wire_priv.h"

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
	static const unsigned char session_of[] = "zot";
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
	return n > 0 && SSL_CTX_set_session_id_context(context, session_of, sizeof(session_of) - 1) == 1;
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

static void set_rules(SSL_CTX *context)
{
	(void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	(void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
						   SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_num_tickets(context, 0);
	(void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
						SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
}

bool http_wire_tls_new(struct http_wire_tls **ret_tls, const struct http_tls *texts, struct error *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	CHECK(context);
	ERR_clear_error();
	set_rules(context);
	if (!use_chain(context, texts->cert_pem) || !use_key(context, texts->key_pem) ||
		(texts->client_ca_pem && !trust_clients_of(context, texts->client_ca_pem))) {
		(void)error_set(err, ERROR_INVALID, NULL,
			"start HTTPS: certificate, key or client CA is not usable: %s",
			http_wire_tls_reason());
		SSL_CTX_free(context);
		ERR_clear_error();
		return false;
	}
	ERR_clear_error();
	struct http_wire_tls *tls = xnew(struct http_wire_tls);
	tls->context = context;
	tls->refs = 1;
	*ret_tls = tls;
	return true;
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
