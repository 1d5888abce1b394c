"""Rendering of forms on the site: `{{ form }}` is the component templates/components/form.html."""

from django.forms.renderers import TemplatesSetting


class SiteRenderer(TemplatesSetting):
    form_template_name = "components/form.html"
    field_template_name = "components/field.html"
