"""Serializers of the currency API."""

from typing import Any

from rest_framework import serializers

from billing import receipts
from billing.api.amount_fields import AmountField, MoneyNumberField
from billing.api.periods import PeriodSerializer
from billing.ledger import Move
from billing.models import CURRENCY, Entry, Payment, PaymentStatus, TransactionType
from billing.statements import Line, Statement
from zenzefi.common.api.fields import Text


class BalanceSerializer(serializers.Serializer[Any]):
    balance = MoneyNumberField()
    currency = serializers.ChoiceField(choices=[CURRENCY])
    # Not a MoneyNumberField, because the schema shows a read-only field as always present.
    debt = serializers.DecimalField(
        max_digits=18,
        decimal_places=2,
        required=False,
        help_text="Present only while there is a debt. The next credits pay it first.",
    )


class HistoryQuerySerializer(serializers.Serializer[Any]):
    transaction_type = serializers.ChoiceField(choices=TransactionType.choices, default="")


class HistorySerializer(serializers.ModelSerializer[Entry]):
    """A transaction as its user sees it: the entry of their wallet, with a signed amount."""

    id = serializers.UUIDField(source="transaction.pk")
    amount = MoneyNumberField()
    transaction_type = serializers.ChoiceField(source="transaction.type", choices=TransactionType.choices)
    description = serializers.CharField(source="transaction.description")
    created_at = serializers.DateTimeField(source="transaction.created_at")

    class Meta:
        model = Entry
        fields = ["id", "amount", "transaction_type", "description", "created_at"]
        read_only_fields = fields


class StatementQuerySerializer(PeriodSerializer):
    format = serializers.ChoiceField(choices=["json", "csv"], default="json")


class StatementItemSerializer(serializers.Serializer[Line]):
    created_at = serializers.DateTimeField()
    id = serializers.UUIDField()
    transaction_type = serializers.ChoiceField(choices=TransactionType.choices)
    description = serializers.CharField()
    amount = MoneyNumberField()
    balance_after = MoneyNumberField()


class StatementSerializer(serializers.Serializer[Statement]):
    """A statement from `from` (included) to `to` (excluded), oldest movement first.

    `opening_balance` + `total_in` − `total_out` = `closing_balance`.
    """

    to = serializers.DateTimeField(source="end")
    currency = serializers.ChoiceField(choices=[CURRENCY])
    opening_balance = MoneyNumberField()
    closing_balance = MoneyNumberField()
    total_in = MoneyNumberField()
    total_out = MoneyNumberField()
    items = StatementItemSerializer(source="lines", many=True)

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which is a keyword and so cannot be a class attribute."""
        return {"from": serializers.DateTimeField(source="start"), **super().get_fields()}


class TopUpSerializer(serializers.Serializer[Any]):
    amount = AmountField()
    payment_method = Text(max_length=64, allow_blank=True, default="")
    provider = Text(max_length=32, allow_blank=True, default="")


class MockTopUpSerializer(serializers.Serializer[Any]):
    amount = AmountField()


class PaymentSerializer(serializers.ModelSerializer[Payment]):
    payment_id = serializers.UUIDField(source="pk", read_only=True)
    amount = MoneyNumberField()
    status = serializers.ChoiceField(choices=PaymentStatus.choices, read_only=True)
    provider_amount = MoneyNumberField()
    receipt_number = serializers.CharField(read_only=True)
    receipt_url = serializers.SerializerMethodField(help_text="A link that opens in a browser for one hour.")
    refunded_amount = MoneyNumberField()

    class Meta:
        model = Payment
        fields = [
            "payment_id",
            "amount",
            "status",
            "payment_url",
            "provider",
            "provider_amount",
            "provider_currency",
            "receipt_number",
            "receipt_url",
            "refunded_amount",
            "created_at",
        ]
        read_only_fields = fields

    def get_receipt_url(self, payment: Payment) -> str:
        return receipts.url(payment)


class DepositSerializer(serializers.Serializer[Move]):
    """A deposit that was credited at once."""

    transaction_id = serializers.UUIDField(source="transaction.pk")
    amount = MoneyNumberField()
    new_balance = MoneyNumberField(source="balance")
    transaction_type = serializers.ChoiceField(source="transaction.type", choices=[TransactionType.DEPOSIT])
    created_at = serializers.DateTimeField(source="transaction.created_at")


class ReceivedSerializer(serializers.Serializer[Any]):
    received = serializers.BooleanField()
