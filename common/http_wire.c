/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/check.h"
#include "common/log.h"

/* At most so much of a file at a time: then others have their turn. */
#define SEND_MOST ((size_t)1024 * 1024)

#define NAME_SAID 200 /* bytes of a certificate's subject */

struct http_wire_tls {
	SSL_CTX *context;
	unsigned refs; /* of one loop */
};

static const char *tls_reason(void)
{
	static _Thread_local char text[160];
	unsigned long code = ERR_peek_last_error();

	if (code == 0)
		return "no reason was given";
	ERR_error_string_n(code, text, sizeof(text));
	return text;
}

/* Contexts. */

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
			"start HTTPS: certificate, key or client CA is not usable: %s", tls_reason());
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
	bool ok;

	CHECK(context);
	ERR_clear_error();
	set_rules(context);
	ok = trust_servers_of(context, trust->ca_file) && use_files(context, trust);
	if (!ok) {
		(void)error_set(err, ERROR_INVALID, NULL,
			"CA, certificate or key towards members is not usable: %s", tls_reason());
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

/* Life. */

void http_wire_open(struct http_wire *wire, int fd, struct http_wire_tls *tls)
{
	*wire = (struct http_wire){ .fd = fd, .tls = tls, .writable = true, .shaken = !tls };
	if (tls)
		tls->refs++;
}

void http_wire_open_inner(struct http_wire *wire, const struct http_inner *inner, void *arg)
{
	*wire = (struct http_wire){
		.fd = -1, .writable = true, .shaken = true, .inner = inner, .inner_arg = arg
	};
}

static bool is_address(const char *host)
{
	struct in6_addr any;

	return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

void http_wire_open_client(struct http_wire *wire, int fd, struct http_wire_tls *tls, const char *host)
{
	static const unsigned char ours[] = "\x08http/1.1";
	SSL *ssl;

	http_wire_open(wire, fd, tls);
	if (!tls)
		return;
	ssl = SSL_new(tls->context);
	CHECK(ssl && SSL_set_fd(ssl, fd) == 1);
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
	CHECK(SSL_set_app_data(ssl, wire) == 1);
	wire->ssl = ssl;
}

uint64_t http_wire_progress(const struct http_wire *wire)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (wire->inner)
		return wire->inner->progress(wire->inner_arg);
	if (getsockopt(wire->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return 0;
	return info.tcpi_bytes_acked + info.tcpi_bytes_received;
}

void http_wire_close(struct http_wire *wire)
{
	if (wire->inner) {
		wire->inner->close(wire->inner_arg);
		return;
	}
	SSL_free(wire->ssl);
	free(wire->refused);
	http_wire_tls_free(wire->tls);
	wire->ssl = NULL;
	wire->tls = NULL;
	wire->refused = NULL;
	(void)close(wire->fd);
	wire->fd = -1;
}

bool http_wire_ready(struct http_wire *wire, uint32_t events)
{
	bool news = (events & ~(uint32_t)EPOLLOUT) || !wire->writable;

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))
		wire->readable = true;
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		wire->writable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP))
		wire->hung_up = true;
	if (events & (EPOLLERR | EPOLLHUP))
		wire->lost = true;
	return news;
}

/* What a call of OpenSSL came to. */
static enum http_io outcome(struct http_wire *wire, int result)
{
	int error = SSL_get_error(wire->ssl, result);

	switch (error) {
	case SSL_ERROR_WANT_READ:
		wire->readable = false;
		return HTTP_IO_AGAIN;
	case SSL_ERROR_WANT_WRITE:
		wire->writable = false;
		return HTTP_IO_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return HTTP_IO_END;
	default:
		break;
	}
	if (!wire->shaken && error == SSL_ERROR_SSL)
		log_debug("tls.refused", "reason=%s", log_quote(str_of(tls_reason())));
	ERR_clear_error();
	return HTTP_IO_LOST;
}

/* A connection that waits for its turn to be greeted costs no more than a plain one. */
static void begin_tls(struct http_wire *wire)
{
	SSL *ssl = SSL_new(wire->tls->context);

	CHECK(ssl && SSL_set_fd(ssl, wire->fd) == 1);
	SSL_set_accept_state(ssl);
	CHECK(SSL_set_app_data(ssl, wire) == 1);
	wire->ssl = ssl;
}

enum http_io http_wire_handshake(struct http_wire *wire)
{
	if (wire->shaken)
		return HTTP_IO_OK;
	if (wire->lost) /* who is gone gets no signature */
		return HTTP_IO_LOST;
	if (!wire->ssl)
		begin_tls(wire);
	ERR_clear_error();
	int result = SSL_do_handshake(wire->ssl);
	if (result != 1)
		return outcome(wire, result);
	wire->shaken = true;
	return HTTP_IO_OK;
}

/* Reading. */

static enum http_io read_plain(struct http_wire *wire, void *into, size_t max, size_t *ret_len)
{
	ssize_t got;

	do
		got = recv(wire->fd, into, max, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return HTTP_IO_END;
	if (got < 0 && errno != EAGAIN)
		return HTTP_IO_LOST;
	/* Less than there was room for: what comes after it is a new edge, but for an end that we know of. */
	if (got < 0 || ((size_t)got < max && !wire->hung_up))
		wire->readable = false;
	if (got < 0)
		return HTTP_IO_AGAIN;
	*ret_len = (size_t)got;
	return HTTP_IO_OK;
}

enum http_io http_wire_read(struct http_wire *wire, void *into, size_t max, size_t *ret_len)
{
	if (wire->inner)
		return wire->inner->read(wire->inner_arg, into, max, ret_len);
	if (!wire->ssl)
		return read_plain(wire, into, max, ret_len);
	ERR_clear_error();
	int result = SSL_read_ex(wire->ssl, into, max, ret_len);
	return result == 1 ? HTTP_IO_OK : outcome(wire, result);
}

enum http_io http_wire_drop(struct http_wire *wire, char *block, size_t *ret_len)
{
	if (wire->inner)
		return wire->inner->read(wire->inner_arg, block, HTTP_WIRE_BLOCK, ret_len);
	return read_plain(wire, block, HTTP_WIRE_BLOCK, ret_len);
}

/* Writing. */

static enum http_io wrote(struct http_wire *wire, ssize_t n, size_t *ret_len)
{
	if (n > 0) {
		*ret_len = (size_t)n;
		return HTTP_IO_OK;
	}
	if (n < 0 && errno == EAGAIN) {
		wire->writable = false;
		return HTTP_IO_AGAIN;
	}
	return HTTP_IO_LOST;
}

static enum http_io write_tls(struct http_wire *wire, const void *bytes, size_t len, size_t *ret_len)
{
	ERR_clear_error();
	int result = SSL_write_ex(wire->ssl, bytes, len, ret_len);
	return result == 1 ? HTTP_IO_OK : outcome(wire, result);
}

/* One part as it is, several in one block: each write makes records of its own. */
static enum http_io write_tls_parts(
	struct http_wire *wire, const struct iovec *parts, int parts_len, char *block, size_t *ret_len)
{
	size_t len = 0;

	if (parts_len == 1)
		return write_tls(wire, parts[0].iov_base, parts[0].iov_len, ret_len);
	for (int i = 0; i < parts_len && len < HTTP_WIRE_BLOCK; i++) {
		size_t room = HTTP_WIRE_BLOCK - len;
		size_t n = parts[i].iov_len < room ? parts[i].iov_len : room;
		if (n > 0)
			memcpy(block + len, parts[i].iov_base, n);
		len += n;
	}
	return write_tls(wire, block, len, ret_len);
}

enum http_io http_wire_write(struct http_wire *wire, const struct iovec *parts, int parts_len, bool more,
	char *block, size_t *ret_len)
{
	struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)parts,
		.msg_iovlen = (size_t)parts_len };
	ssize_t n;

	if (wire->inner)
		return wire->inner->write(wire->inner_arg, parts, parts_len, ret_len);
	if (wire->ssl)
		return write_tls_parts(wire, parts, parts_len, block, ret_len);
	do
		n = sendmsg(wire->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	while (n < 0 && errno == EINTR);
	return wrote(wire, n, ret_len);
}

static enum http_io send_file_read(
	struct http_wire *wire, int file, uint64_t offset, uint64_t len, char *block, size_t *ret_len)
{
	size_t most = len < HTTP_WIRE_BLOCK ? (size_t)len : HTTP_WIRE_BLOCK;
	ssize_t got = pread(file, block, most, (off_t)offset);

	if (got <= 0)
		return HTTP_IO_LOST;
	if (wire->inner)
		return wire->inner->write(wire->inner_arg, &(struct iovec){ block, (size_t)got }, 1, ret_len);
	return write_tls(wire, block, (size_t)got, ret_len);
}

enum http_io http_wire_send_file(
	struct http_wire *wire, int file, uint64_t offset, uint64_t len, char *block, size_t *ret_len)
{
	off_t at = (off_t)offset;
	ssize_t n;

	if (wire->ssl || wire->inner)
		return send_file_read(wire, file, offset, len, block, ret_len);
	do
		n = sendfile(wire->fd, file, &at, len < SEND_MOST ? (size_t)len : SEND_MOST);
	while (n < 0 && errno == EINTR);
	return wrote(wire, n, ret_len);
}

void http_wire_shut(struct http_wire *wire)
{
	if (wire->inner) {
		wire->inner->shut(wire->inner_arg);
		return;
	}
	if (wire->ssl && wire->shaken && !wire->lost) {
		ERR_clear_error();
		(void)SSL_shutdown(wire->ssl);
		ERR_clear_error();
	}
	(void)shutdown(wire->fd, SHUT_WR);
}

void http_wire_client_cert(const struct http_wire *wire, struct buf *into)
{
	X509 *cert = wire->ssl ? SSL_get1_peer_certificate(wire->ssl) : NULL;
	unsigned char *der = NULL;
	int len = cert && SSL_get_verify_result(wire->ssl) == X509_V_OK ? i2d_X509(cert, &der) : 0;

	if (len > 0)
		buf_append(into, der, (size_t)len);
	OPENSSL_free(der);
	X509_free(cert);
}
