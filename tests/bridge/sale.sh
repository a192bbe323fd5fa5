# A whole sale with nothing but curl and openssl; URL, CLIENT and SECRET say where and who.
# Prints one answer a line: start, two orders, cancel, order, end, promotion.

call() { # method path body [wait]
    now=$(date +%s)
    signature=$(printf '%s.%s.%s.%s' "$now" "$1" "$2" "$3" \
        | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d' ' -f1)
    curl -sS -X "$1" "$URL$2" \
        -H "X-Client-Id: $CLIENT" -H "X-Timestamp: $now" -H "X-Signature: sha256=$signature" \
        -H "Prefer: wait=${4:-5}" ${3:+--data-binary "$3"}
    echo
}

order() {
    printf '{"order":{"ref":"%s","promotionId":"CURL","items":[{"sku":"SKU-002","quantity":2}]}}' "$1"
}

call POST /start-flash-sale '{"promotion":{"id":"CURL","skus":[{"sku":"SKU-002","quantity":3}]}}' 20
call POST /consume-reservation "$(order C-1)"
call POST /consume-reservation "$(order C-2)"
call POST /cancel-order '{"order":{"ref":"C-1","promotionId":"CURL"}}'
call GET /orders/C-1 ''
call POST /end-flash-sale '{"promotion":{"id":"CURL","reason":"over"}}' 30
call GET /promotions/CURL ''
