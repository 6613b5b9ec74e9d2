//! What is printed reads back the same; what is stored reads back the same.

use margay_model::codec::{as_stored, decode, encode};
use margay_model::document::load;
use margay_model::validate::{Scope, validate};
use margay_text::json::write_json;
use margay_text::value::Value;
use margay_text::yaml::write_yaml;
use proptest::prelude::*;

use crate::generate::resource;

proptest! {
    #[test]
    fn generated_resources_are_valid(resource in resource()) {
        prop_assert_eq!(validate(&resource, Scope::All), Vec::new());
    }

    #[test]
    fn yaml_output_reads_back_the_same(resource in resource()) {
        let mut text = String::new();
        write_yaml(&mut text, &Value::List(vec![resource.value()]));
        let loaded = load(text.as_bytes(), Scope::All).map_err(|refusal| TestCaseError::fail(format!("{refusal:?}\n{text}")))?;
        prop_assert_eq!(&loaded[0].resource, &resource, "{}", text);
    }

    #[test]
    fn json_output_reads_back_the_same(resource in resource()) {
        let mut text = String::new();
        write_json(&mut text, &Value::List(vec![resource.value()]), 0);
        let loaded = load(text.as_bytes(), Scope::All).map_err(|refusal| TestCaseError::fail(format!("{refusal:?}\n{text}")))?;
        prop_assert_eq!(&loaded[0].resource, &resource, "{}", text);
    }

    #[test]
    fn a_resource_in_stored_form_is_stored_as_it_is(resource in resource()) {
        prop_assert_eq!(&as_stored(&resource), &resource);
    }

    #[test]
    fn a_value_written_over_itself_stays(resource in resource()) {
        if let Some(value) = encode(&resource, None) {
            prop_assert_eq!(encode(&resource, Some(&value)), Some(value.clone()));
            let key = resource.identity().expect("complete").key();
            prop_assert_eq!(decode(&key, &value).expect("readable"), Some(resource));
        }
    }
}
