"""The ledger's rules that only the database can enforce."""

from django.db import migrations

from zenzefi.common.append_only import append_only

# Deferred: the entries of a transaction are judged together, at the commit.
BALANCED = """
CREATE FUNCTION billing_entries_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(amount) FROM billing_entry WHERE transaction_id = NEW.transaction_id) <> 0 THEN
        RAISE EXCEPTION 'the entries of transaction % do not sum to zero', NEW.transaction_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_entries_balanced AFTER INSERT ON billing_entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_entries_balanced();
"""
NOT_BALANCED = """
DROP TRIGGER billing_entries_balanced ON billing_entry;
DROP FUNCTION billing_entries_balanced();
"""


def on_postgresql(sql):
    def run(apps, editor):
        if editor.connection.vendor == "postgresql":
            editor.execute(sql, params=None)

    return run


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [
        append_only("billing_transaction"),
        append_only("billing_entry"),
        migrations.RunPython(on_postgresql(BALANCED), on_postgresql(NOT_BALANCED)),
    ]
