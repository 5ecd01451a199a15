"""The topic of changed settings, apart from the others so that who reads no events need not load Arrow."""

from recoup.kit.service import Topic
from recoup.messages.stores import StoreConfigured

CONFIG_CHANGES = Topic("config-changes", StoreConfigured, key=lambda change: change.store_id)
